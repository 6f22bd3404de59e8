/**
 * The request for a certificate as Istio's CA wants it (ztunnel facts 5.4): PKCS#10, a fresh P-256 key, an empty subject
 * and one critical URI name (RFC 5280 section 4.2.1.6).
 */
import './reflect-metadata.ts';
import { webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { pemBlock } from './pem.ts';

export interface SigningRequest {
  readonly csrPem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

export async function createSigningRequest(identityUri: string): Promise<SigningRequest> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: identityUri }], true)],
  });
  return {
    csrPem: pemBlock('CERTIFICATE REQUEST', request.rawData),
    privateKeyPem: pemBlock('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
  };
}
