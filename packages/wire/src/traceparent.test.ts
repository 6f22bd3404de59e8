import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { makeTraceparent, parseTraceparent } from './traceparent.ts';

test('24 random bytes make a header that every reader accepts', () => {
  const random = Uint8Array.from({ length: 24 }, (_, i) => i);
  assert.equal(makeTraceparent(random), '00-000102030405060708090a0b0c0d0e0f-1011121314151617-00');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), (bytes) => {
      const hex = Buffer.from(bytes).toString('hex');
      fc.pre(!/^0{32}|0{16}$/.test(hex));
      const expected = { traceId: hex.slice(0, 32), parentId: hex.slice(32), flags: 0 };
      assert.deepEqual(parseTraceparent(makeTraceparent(bytes)), expected);
    }),
  );
  assert.notEqual(parseTraceparent(makeTraceparent(new Uint8Array(24))), null);
});

test('only exactly 55 valid characters are a traceparent', () => {
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const span = 'b7ad6b7169203331';
  assert.deepEqual(parseTraceparent(`00-${trace}-${span}-01`), { traceId: trace, parentId: span, flags: 1 });
  assert.deepEqual(parseTraceparent(`cc-${trace}-${span}-ff`), { traceId: trace, parentId: span, flags: 255 });
  const none = [
    '',
    `00-${trace}-${span}-0`,
    `00-${trace}-${span}-01 `,
    ` 00-${trace}-${span}-01`,
    `00-${trace}-${span}-01-x`,
  ];
  none.push(`ff-${trace}-${span}-01`, `00-${trace.toUpperCase()}-${span}-01`, `00-${'0'.repeat(32)}-${span}-01`);
  none.push(
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00_${trace}-${span}-01`,
    `0g-${trace}-${span}-01`,
    `00-${trace}-${span}-0\n`,
  );
  for (const text of none) assert.equal(parseTraceparent(text), null, JSON.stringify(text));
});
