/**
 * The URI names in a certificate's subjectAltName (RFC 5280 section 4.2.1.6), read from its DER and never from a printed
 * form, in which a name could pretend to be two. What is not exactly as it must be makes the whole certificate null.
 */
import { DerReader } from './der.ts';
import { latin1 } from './latin1.ts';
import { CERTIFICATE_MAX_BYTES, SAN_NAMES_MAX, URI_SAN_MAX_BYTES } from './limits.ts';

const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const VERSION = 0xa0;
const ISSUER_UNIQUE_ID = 0x81;
const SUBJECT_UNIQUE_ID = 0x82;
const EXTENSIONS = 0xa3;
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11];
/** False is the default, which DER leaves out. */
const TRUE = [0xff];

/** GeneralName's choices: other, rfc822, dns, x400, directory, edi party, uri, ip, registered id. */
const GENERAL_NAMES: ReadonlySet<number> = new Set([0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88]);
const URI_NAME = 0x86;

/** SPIFFE ID specification section 2; in the trust domain also upper case, which then differs from lower case. */
const SPIFFE_ID = /^spiffe:\/\/[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;

/** In the order of the certificate; empty if it has none; null if the certificate is malformed or a URI is. */
export function subjectAltUris(der: Uint8Array): readonly string[] | null {
  if (der.length > CERTIFICATE_MAX_BYTES) return null;
  const outer = new DerReader(der, 0, der.length);
  if (!outer.expect(SEQUENCE) || !outer.done) return null;
  const certificate = outer.inside();
  certificate.expect(SEQUENCE);
  const toBeSigned = certificate.inside();
  certificate.expect(SEQUENCE);
  certificate.expect(BIT_STRING);
  if (certificate.failed || !certificate.done) return null;
  return urisOf(toBeSigned);
}

/** The URI names that are SPIFFE ids, unchanged: compare them byte by byte. */
export function spiffeIdsOf(der: Uint8Array): readonly string[] | null {
  return subjectAltUris(der)?.filter((uri) => SPIFFE_ID.test(uri)) ?? null;
}

/** RFC 5280 section 4.1: TBSCertificate. */
function urisOf(toBeSigned: DerReader): string[] | null {
  if (toBeSigned.at(VERSION)) toBeSigned.next();
  toBeSigned.expect(INTEGER); // serial number
  toBeSigned.expect(SEQUENCE); // signature algorithm
  toBeSigned.expect(SEQUENCE); // issuer
  toBeSigned.expect(SEQUENCE); // validity
  toBeSigned.expect(SEQUENCE); // subject
  toBeSigned.expect(SEQUENCE); // public key
  if (toBeSigned.at(ISSUER_UNIQUE_ID)) toBeSigned.next();
  if (toBeSigned.at(SUBJECT_UNIQUE_ID)) toBeSigned.next();
  if (toBeSigned.failed) return null;
  if (toBeSigned.done) return [];
  if (!toBeSigned.expect(EXTENSIONS) || !toBeSigned.done) return null;
  const wrapper = toBeSigned.inside();
  if (!wrapper.expect(SEQUENCE) || !wrapper.done) return null;
  return urisInExtensions(wrapper.inside());
}

function urisInExtensions(extensions: DerReader): string[] | null {
  let uris: string[] | null = null;
  while (!extensions.done) {
    if (!extensions.expect(SEQUENCE)) return null;
    const extension = extensions.inside();
    if (!extension.expect(OBJECT_IDENTIFIER)) return null;
    const isSubjectAltName = contentIs(extension, SUBJECT_ALT_NAME);
    if (extension.at(BOOLEAN) && !(extension.next() && contentIs(extension, TRUE))) return null; // critical
    if (!extension.expect(OCTET_STRING) || !extension.done) return null;
    if (!isSubjectAltName) continue;
    if (uris !== null) return null; // at most one of a kind: section 4.2
    uris = urisInNames(extension.inside());
    if (uris === null) return null;
  }
  return extensions.failed ? null : (uris ?? []);
}

function urisInNames(value: DerReader): string[] | null {
  if (!value.expect(SEQUENCE) || !value.done) return null;
  const names = value.inside();
  const uris: string[] = [];
  for (let count = 0; !names.done; count += 1) {
    if (count === SAN_NAMES_MAX || !names.next() || !GENERAL_NAMES.has(names.tag)) return null;
    if (names.tag !== URI_NAME) continue;
    const uri = uriText(names);
    if (uri === null) return null;
    uris.push(uri);
  }
  return names.failed ? null : uris;
}

/** Printable ASCII only: no NUL at which a reader in C would stop, nothing that could look like another name. */
function uriText(names: DerReader): string | null {
  const length = names.contentEnd - names.contentStart;
  if (length === 0 || length > URI_SAN_MAX_BYTES) return null;
  for (let i = names.contentStart; i < names.contentEnd; i += 1) {
    const byte = names.bytes[i]!;
    if (byte <= 0x20 || byte >= 0x7f) return null;
  }
  return latin1(names.bytes, names.contentStart, length);
}

function contentIs(reader: DerReader, content: readonly number[]): boolean {
  return (
    reader.contentEnd - reader.contentStart === content.length &&
    content.every((byte, i) => reader.bytes[reader.contentStart + i] === byte)
  );
}
