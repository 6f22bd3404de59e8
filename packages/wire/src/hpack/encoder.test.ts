import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HpackDecoder, HpackEncoder } from './index.ts';

const SENTINEL = 0xa5;

test('blocks of one connection come back as they were, through any changes of the table', () => {
  const text = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => String.fromCharCode(...bytes));
  const name = fc.oneof(
    fc.constantFrom(
      ':path',
      ':status',
      'x-a',
      'x-b',
      'authorization',
      'cookie',
      'set-cookie',
      'baggage',
      'traceparent',
    ),
    text(12),
  );
  const value = fc.oneof(fc.constantFrom('', '200', '/', 'a', 'b', 'c', 'd'), text(60), text(600));
  const headers = fc.array(fc.tuple(name, value), { maxLength: 30 }).map((fields) => fields.flat());
  const resizes = fc.array(fc.oneof(fc.constantFrom(0, 64, 200, 4096, 65_536), fc.nat(5000)), { maxLength: 3 });
  const connection = fc.array(fc.record({ resizes, headers }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(connection, (blocks) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(65_536, 1_000_000);
      for (const block of blocks) {
        for (const bytes of block.resizes) encoder.setTableMax(bytes);
        assertPasses(encoder, decoder, block.headers);
      }
    }),
    { numRuns: 300 },
  );
});

test('a field that repeats takes one byte', () => {
  const encoder = new HpackEncoder();
  const headers = [':method', 'CONNECT', ':authority', '10.0.0.1:80', 'baggage', 'k8s.namespace.name=shop'];
  assert.ok(encode(encoder, headers).length > 20);
  assert.equal(encode(encoder, headers).length, 3);
});

test('fields that vary in every message do not push out those that repeat', () => {
  const encoder = new HpackEncoder();
  encode(encoder, ['baggage', 'k8s.namespace.name=shop']);
  for (let i = 0; i < 1000; i += 1) {
    encode(encoder, ['traceparent', `00-${i}`, 'forwarded', `for="10.0.0.1:${i}"`, ':path', `/${i}`]);
  }
  assert.equal(encode(encoder, ['baggage', 'k8s.namespace.name=shop']).length, 1);
});

test('secrets are never indexed, neither here nor by any hop after us', () => {
  const secrets: [string, string][] = [
    ['authorization', 'Bearer abc'],
    ['proxy-authorization', 'Basic abc'],
    ['cookie', 'session=abc'],
    ['set-cookie', 'a=b'],
  ];
  for (const [name, value] of secrets) {
    const encoder = new HpackEncoder();
    const first = encode(encoder, [name, value]);
    assert.equal(first[0]! & 0xf0, 0x10, name);
    assert.deepEqual(encode(encoder, [name, value]), first, name);
  }
});

test('Huffman is used only where it is shorter', () => {
  const encoder = new HpackEncoder();
  encoder.setTableMax(0);
  const plain = encode(encoder, ['x', '\x01\x02']);
  assert.deepEqual(plain.subarray(-3), Uint8Array.of(2, 1, 2));
  const coded = encode(encoder, [':path', '0000000000']);
  assert.equal(coded.at(-8)! & 0x80, 0x80);
});

test('a shrunk and regrown table is announced by both sizes, and an unchanged one by none', () => {
  const encoder = new HpackEncoder();
  encode(encoder, ['x', 'y']);
  encoder.setTableMax(0);
  encoder.setTableMax(50);
  encoder.setTableMax(31);
  assert.deepEqual(encode(encoder, []), Uint8Array.of(0x20, 0x3f, 0x00));
  encoder.setTableMax(31);
  assert.equal(encode(encoder, []).length, 0);
  const peerOffersMore = new HpackEncoder();
  peerOffersMore.setTableMax(65_536);
  assert.equal(encode(peerOffersMore, []).length, 0);
});

test('a connection of many different names keeps finding its way', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(4096, 100_000);
  for (let i = 0; i < 5000; i += 1)
    assertPasses(encoder, decoder, [`x-${i % 150}`, `v${i % 7}`, 'x-same', `${i % 20}`]);
});

function assertPasses(encoder: HpackEncoder, decoder: HpackDecoder, headers: string[]): void {
  const block = encode(encoder, headers);
  assert.equal(decoder.decode(block, 0, block.length), 'ok');
  assert.deepEqual(decoder.headers, headers);
}

/** Nothing is written before the offset or after the promised worst case. */
function encode(encoder: HpackEncoder, headers: string[]): Uint8Array {
  const maxBytes = encoder.encodedMaxBytes(headers);
  const out = new Uint8Array(maxBytes + 10).fill(SENTINEL);
  const length = encoder.encode(headers, out, 5);
  assert.ok(length <= maxBytes);
  for (const guard of [...out.subarray(0, 5), ...out.subarray(5 + length)]) assert.equal(guard, SENTINEL);
  return out.subarray(5, 5 + length);
}
