import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { latin1 } from './latin1.ts';

test('bytes of any kind and length become the characters of the same numbers', () => {
  for (const length of [0, 1, 64, 65, 256, 4095, 4096, 4097, 10_000]) {
    for (const highest of [0x7f, 0xff]) {
      const bytes = Uint8Array.from({ length: length + 2 }, (_, i) => (i * 7) & highest);
      assert.equal(latin1(bytes, 1, length), Buffer.from(bytes).toString('latin1', 1, 1 + length));
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(latin1(bytes, 0, bytes.length), Buffer.from(bytes).toString('latin1'));
    }),
  );
});

test('a byte order mark is text like any other', () => {
  const bytes = Uint8Array.from([0xef, 0xbb, 0xbf, ...new Uint8Array(100).fill(0x61)]);
  assert.equal(latin1(bytes, 0, bytes.length).length, 103);
});
