import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import test from 'node:test';
import { fuzz, readCorpus } from '../corpora/corpus.ts';
import { DerReader } from './der.ts';
import { spiffeIdsOf, subjectAltUris } from './x509-san.ts';

const CLIENT = 'spiffe://cluster.local/ns/default/sa/client';
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const URI = 0x86;
const DNS = 0x82;
const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const TRUE = Buffer.of(0x01, 0x01, 0xff);
const ECDSA_SHA256 = der(SEQUENCE, oid('2a8648ce3d040302'));
const KEYS = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

test('URIs are read from certificates of the openssl tool, whatever other names stand beside them', () => {
  const certificates = readCorpus('x509');
  assert.equal(certificates.length, 4);
  for (const certificate of certificates.slice(0, 3)) {
    assert.deepEqual(subjectAltUris(certificate), [CART, 'https://example.test/x']);
    assert.deepEqual(spiffeIdsOf(certificate), [CART]);
  }
  assert.deepEqual(subjectAltUris(certificates[3]!), [CLIENT]);
});

test('URIs are those that node:crypto prints', () => {
  const cases = [
    [],
    [name(URI, CLIENT)],
    [name(DNS, 'a.test'), name(URI, CLIENT), name(0x87, '\x0a\x01\x02\x03'), name(URI, CART)],
    [name(URI, `spiffe://cluster.local/${'a'.repeat(300)}`)],
    Array.from({ length: 200 }, (_, i) => name(URI, `spiffe://cluster.local/${i}`)),
  ];
  for (const names of cases) {
    const certificate = certificateOf(subjectAltName(names));
    const printed = new X509Certificate(certificate).subjectAltName ?? '';
    assert.deepEqual(subjectAltUris(certificate), urisIn(printed));
  }
  assert.deepEqual(subjectAltUris(certificateOf()), []);
});

test('a URI that could be read in two ways makes the certificate null', () => {
  const texts = [`${CLIENT}\0.evil.test`, `\0${CLIENT}`, `${CLIENT}\0`, `${CLIENT}\x80`, `${CLIENT}é`, `${CLIENT}\n`];
  texts.push(
    `${CLIENT} `,
    `${CLIENT}, URI:${CART}`,
    `${CLIENT}\x7f`,
    '',
    `spiffe://cluster.local/${'a'.repeat(10_240)}`,
  );
  for (const text of texts) {
    assert.equal(subjectAltUris(certificateOf(subjectAltName([name(URI, text)]))), null, JSON.stringify(text));
    const second = certificateOf(subjectAltName([name(URI, CLIENT), name(URI, text)]));
    assert.equal(subjectAltUris(second), null, `second: ${JSON.stringify(text)}`);
    assert.equal(spiffeIdsOf(second), null);
  }
});

test('a URI is up to 2048 bytes', () => {
  const uri = CLIENT.padEnd(2048, 'a');
  assert.deepEqual(spiffeIdsOf(certificateOf(subjectAltName([name(URI, uri)]))), [uri]);
  assert.equal(spiffeIdsOf(certificateOf(subjectAltName([name(URI, `${uri}a`)]))), null);
});

test('a SPIFFE id is unchanged, and nothing that only resembles one', () => {
  const ids = [CLIENT, 'spiffe://Cluster.Local/ns/default/sa/client', CART, 'spiffe://cluster.local'];
  const others = [
    'SPIFFE://cluster.local/ns/default/sa/client',
    'Spiffe://cluster.local/ns/a/sa/b',
    'spiffe:/cluster.local/a',
  ];
  others.push(
    'spiffe://cluster.local/ns/default/sa/cli%65nt',
    'spiffe://cluster.local/ns/default/sa/client?a',
    `${CLIENT}#a`,
  );
  others.push(
    `${CLIENT}/`,
    'spiffe://cluster.local//ns/a',
    'spiffe://user@cluster.local/a',
    'spiffe://cluster.local:1/a',
    'spiffe:///a',
  );
  others.push(`https://a.test/${CLIENT}`, `x${CLIENT}`, 'spiffe://*/ns/a/sa/b');
  const certificate = certificateOf(subjectAltName([...others, ...ids].map((text) => name(URI, text))));
  assert.deepEqual(subjectAltUris(certificate), [...others, ...ids]);
  assert.deepEqual(spiffeIdsOf(certificate), ids);
});

test('names of another kind are not URIs, whatever their text', () => {
  const names = [name(DNS, CLIENT), name(0x81, CLIENT), name(0xa0, CLIENT)];
  assert.deepEqual(subjectAltUris(certificateOf(subjectAltName(names))), []);
  const commonName = der(SEQUENCE, der(0x31, der(SEQUENCE, oid('550403'), der(0x0c, Buffer.from(CLIENT)))));
  assert.deepEqual(subjectAltUris(certificateOf(undefined, commonName)), []);
  const issuerAltName = der(SEQUENCE, oid('551d12'), der(OCTET_STRING, der(SEQUENCE, name(URI, CLIENT))));
  assert.deepEqual(subjectAltUris(certificateOf(issuerAltName)), []);
});

test('what is not DER, or not a certificate, is null', () => {
  const san = subjectAltName([name(URI, CLIENT)]);
  const good = certificateOf(san);
  assert.deepEqual(subjectAltUris(good), [CLIENT]);
  const parts = partsOf(good);
  assert.equal(parts.length, 3);
  assert.deepEqual(der(SEQUENCE, ...parts), good);
  const wrap = (value: Buffer) => der(SEQUENCE, oid('551d11'), der(OCTET_STRING, value));
  const cases: Record<string, Uint8Array> = {
    nothing: Buffer.alloc(0),
    'a byte after it': Buffer.concat([good, Buffer.of(0)]),
    'a byte short': good.subarray(0, -1),
    'two subjectAltNames': certificateOf(Buffer.concat([san, san])),
    'names after the sequence': certificateOf(wrap(Buffer.concat([der(SEQUENCE, name(URI, CLIENT)), name(URI, CART)]))),
    'a set of names': certificateOf(wrap(der(0x31, name(URI, CLIENT)))),
    'a constructed URI': certificateOf(subjectAltName([der(0xa6, name(0x16, CLIENT))])),
    'a name of no kind': certificateOf(subjectAltName([name(URI, CLIENT), name(0x89, 'a')])),
    'a long tag': certificateOf(subjectAltName([Buffer.concat([Buffer.of(0x9f, 0x06, 0x01, 0x61)])])),
    'an indefinite length': certificateOf(
      wrap(Buffer.concat([Buffer.of(0x30, 0x80), name(URI, CLIENT), Buffer.of(0, 0)])),
    ),
    'a length with a leading zero': certificateOf(wrap(longForm(name(URI, CLIENT.padEnd(200, 'a')), 2))),
    'a name that reaches out of its sequence': certificateOf(
      wrap(der(SEQUENCE, name(URI, CLIENT).fill(CLIENT.length + 1, 1, 2))),
    ),
    'a part after the signature': der(SEQUENCE, ...parts, name(0x04, 'a')),
    'no signature': der(SEQUENCE, ...parts.slice(0, 2)),
    'a part after the extensions': certificateOf(san, undefined, name(0x04, 'a')),
    'a long form that could be short': certificateOf(wrap(longForm(name(URI, CLIENT), 1))),
    'a criticality that is false': certificateOf(
      der(SEQUENCE, oid('551d11'), Buffer.of(0x01, 0x01, 0x00), der(OCTET_STRING, der(SEQUENCE, name(URI, CLIENT)))),
    ),
    'more names than the limit': certificateOf(subjectAltName(Array.from({ length: 1025 }, () => name(URI, 'a:b')))),
    'more bytes than the limit': certificateOf(
      subjectAltName(Array.from({ length: 40 }, () => name(DNS, 'a'.repeat(2000)))),
    ),
  };
  for (const [what, bytes] of Object.entries(cases)) assert.equal(subjectAltUris(bytes), null, what);
});

test('every cut of a certificate is null', () => {
  const certificate = readCorpus('x509')[0]!;
  for (let length = 0; length < certificate.length; length += 1) {
    assert.equal(subjectAltUris(certificate.subarray(0, length)), null);
  }
});

test('whatever the bytes are, what we read is what OpenSSL prints', () => {
  let compared = 0;
  fuzz([...readCorpus('x509'), certificateOf(subjectAltName([name(URI, CLIENT)]))], (bytes, rng) => {
    const uris = subjectAltUris(bytes);
    if (uris === null || rng.integer(4) > 0) return;
    const printed = printedNames(bytes);
    // OpenSSL quotes what could be misread; such names are not compared.
    if (printed === null || printed.includes('"')) return;
    assert.deepEqual(uris, urisIn(printed));
    compared += 1;
  });
  assert.ok(compared > 100, `only ${compared} certificates were compared`);
});

/** Null where OpenSSL takes the certificate or its names for malformed. */
function printedNames(bytes: Uint8Array): string | null {
  try {
    return new X509Certificate(bytes).subjectAltName ?? null;
  } catch {
    return null;
  }
}

function urisIn(printed: string): string[] {
  return printed.split(', ').flatMap((entry) => (entry.startsWith('URI:') ? [entry.slice(4)] : []));
}

/** RFC 5280 section 4.1, signed by its own key. */
function certificateOf(
  extensions?: Buffer,
  subject: Buffer = der(SEQUENCE),
  afterExtensions: Buffer = Buffer.alloc(0),
): Buffer {
  const time = der(0x17, Buffer.from('300101000000Z'));
  const toBeSigned = der(
    SEQUENCE,
    ...[der(0xa0, Buffer.of(0x02, 0x01, 0x02)), Buffer.of(0x02, 0x01, 0x01), ECDSA_SHA256, der(SEQUENCE)],
    ...[der(SEQUENCE, time, time), subject, KEYS.publicKey.export({ type: 'spki', format: 'der' })],
    ...(extensions === undefined ? [] : [der(0xa3, der(SEQUENCE, extensions), afterExtensions)]),
  );
  const signature = sign('sha256', toBeSigned, KEYS.privateKey);
  return der(SEQUENCE, toBeSigned, ECDSA_SHA256, der(0x03, Buffer.of(0), signature));
}

function subjectAltName(names: readonly Buffer[]): Buffer {
  return der(SEQUENCE, oid('551d11'), TRUE, der(OCTET_STRING, der(SEQUENCE, ...names)));
}

function name(tag: number, text: string): Buffer {
  return der(tag, Buffer.from(text, 'latin1'));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const octets = body.length < 0x100 ? 1 : body.length < 0x10000 ? 2 : 3;
  const length = Buffer.alloc(octets);
  length.writeUIntBE(body.length, 0, octets);
  return Buffer.concat([Buffer.of(tag, 0x80 | octets), length, body]);
}

/** To be signed, algorithm, signature. */
function partsOf(certificate: Buffer): Buffer[] {
  const outer = new DerReader(certificate, 0, certificate.length);
  outer.next();
  const inside = outer.inside();
  const parts: Buffer[] = [];
  for (let start = inside.position; inside.next(); start = inside.position) {
    parts.push(certificate.subarray(start, inside.position));
  }
  return parts;
}

/** A sequence with its length in more octets than it needs. */
function longForm(body: Buffer, octets: number): Buffer {
  const length = Buffer.alloc(octets);
  length.writeUIntBE(body.length, 0, octets);
  return Buffer.concat([Buffer.of(SEQUENCE, 0x80 | octets), length, body]);
}
