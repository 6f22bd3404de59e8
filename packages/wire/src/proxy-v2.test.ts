import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { formatIp } from './ip.ts';
import { PROXY_IDENTITY_MAX_BYTES } from './limits.ts';
import { encodeProxyHeader, type ProxyHeader } from './proxy-v2.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hexOf = (header: ProxyHeader): string => Buffer.from(encodeProxyHeader(header)).toString('hex');

const SOURCE = { ip: '10.1.2.3', port: 4567 };
const DESTINATION = { ip: '10.9.0.1', port: 80 };

test('IPv4 without an identity is the 28 bytes of the specification', () => {
  assert.equal(
    hexOf({ source: SOURCE, destination: DESTINATION, identity: null }),
    `${SIGNATURE}2111000c0a0102030a09000111d70050`,
  );
});

test('IPv6 addresses take 36 bytes', () => {
  assert.equal(
    hexOf({ source: { ip: '2001:db8::1', port: 1 }, destination: { ip: '::1', port: 65_535 }, identity: null }),
    `${SIGNATURE}21210024${'20010db8000000000000000000000001'}${'00000000000000000000000000000001'}0001ffff`,
  );
});

test('the identity follows as a field of type 0xD0 and counts in the length', () => {
  assert.equal(
    hexOf({ source: SOURCE, destination: DESTINATION, identity: 'spiffe://a' }),
    `${SIGNATURE}211100190a0102030a09000111d70050d0000a${Buffer.from('spiffe://a').toString('hex')}`,
  );
});

test('addresses of two families are unspecified and left out, the identity stays', () => {
  const destination = { ip: '2001:db8::1', port: 80 };
  assert.equal(hexOf({ source: SOURCE, destination, identity: 'x' }), `${SIGNATURE}21000004d0000178`);
  assert.equal(hexOf({ source: SOURCE, destination, identity: null }), `${SIGNATURE}21000000`);
});

test('an IPv4-mapped address is IPv4', () => {
  const mapped = { source: { ip: '::ffff:10.1.2.3', port: 4567 }, destination: DESTINATION, identity: null };
  assert.equal(hexOf(mapped), hexOf({ source: SOURCE, destination: DESTINATION, identity: null }));
});

test('what a caller must never pass is refused: no address, no port, an identity that is too long', () => {
  const refused: ProxyHeader[] = [
    { source: { ip: 'localhost', port: 1 }, destination: DESTINATION, identity: null },
    { source: { ip: '10.1.2.3', port: 65_536 }, destination: DESTINATION, identity: null },
    { source: SOURCE, destination: DESTINATION, identity: 'x'.repeat(PROXY_IDENTITY_MAX_BYTES + 1) },
  ];
  for (const header of refused) assert.throws(() => encodeProxyHeader(header), /assertion failed/);
});

test('a reader by the specification finds in any header what was put in', () => {
  const address = fc.oneof(
    fc.record({ ip: fc.ipV4(), port: fc.nat(65_535) }),
    fc.record({ ip: fc.ipV6(), port: fc.nat(65_535) }),
  );
  const identity = fc.option(fc.string({ unit: 'grapheme', maxLength: 60 }));
  fc.assert(
    fc.property(address, address, identity, (source, destination, name) => {
      const bytes = encodeProxyHeader({ source, destination, identity: name });
      const read = readHeader(bytes);
      assert.equal(read.identity, name);
      if (read.addresses !== null) {
        assert.deepEqual(read.addresses, [plain(source), plain(destination)]);
      } else {
        assert.notEqual(plain(source).includes('.'), plain(destination).includes('.'));
      }
    }),
  );
});

/** Independent of the encoder: walks the bytes as section 2.2 says. */
function readHeader(bytes: Uint8Array): { addresses: [string, string] | null; identity: string | null } {
  const data = Buffer.from(bytes);
  assert.equal(data.subarray(0, 12).toString('hex'), SIGNATURE);
  assert.equal(data[12], 0x21);
  assert.equal(data.length, 16 + data.readUInt16BE(14));
  const width = { 0: 0, 17: 4, 33: 16 }[data[13]!]!;
  let addresses: [string, string] | null = null;
  let at = 16;
  if (width > 0) {
    const ports = at + 2 * width;
    const text = (i: number): string => formatIp(data.subarray(at + i * width, at + (i + 1) * width));
    addresses = [`${text(0)} ${data.readUInt16BE(ports)}`, `${text(1)} ${data.readUInt16BE(ports + 2)}`];
    at = ports + 4;
  }
  if (at === data.length) return { addresses, identity: null };
  assert.equal(data[at], 0xd0);
  assert.equal(data.length, at + 3 + data.readUInt16BE(at + 1));
  return { addresses, identity: data.subarray(at + 3).toString('utf8') };
}

function plain({ ip, port }: { ip: string; port: number }): string {
  const url = ip.includes(':') ? new URL(`http://[${ip}]/`).hostname.slice(1, -1) : ip;
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(url);
  if (mapped === null) return `${url} ${port}`;
  const words = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return `${words.flatMap((word) => [word >> 8, word & 0xff]).join('.')} ${port}`;
}
