/** PEM (RFC 7468) as this package writes it: lines of 64 characters, each block closed by a line end. */
import { X509Certificate } from 'node:crypto';
import { CERTIFICATES_IN_BUNDLE_MAX } from './limits.ts';

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export function pemBlock(label: string, der: ArrayBuffer): string {
  const base64 = Buffer.from(der).toString('base64');
  return `-----BEGIN ${label}-----\n${base64.replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END ${label}-----\n`;
}

/** Every certificate of a text, read. Throws where one is broken or there are none or too many. */
export function certificatesIn(pem: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...rest] = pem.match(CERTIFICATE_BLOCK) ?? [];
  if (first === undefined) throw new Error('no certificate in PEM');
  if (rest.length >= CERTIFICATES_IN_BUNDLE_MAX)
    throw new Error(`more than ${CERTIFICATES_IN_BUNDLE_MAX} certificates`);
  return [new X509Certificate(first), ...rest.map((block) => new X509Certificate(block))];
}

/** Certificates in one text, each on lines of its own: what was joined may have lacked the line end. */
export function joinCertificates(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => `${certificate.toString().trimEnd()}\n`).join('');
}
