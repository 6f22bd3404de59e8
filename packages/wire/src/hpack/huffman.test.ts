import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HUFFMAN_BITS, HUFFMAN_CODES, huffmanDecode, huffmanEncode, huffmanEncodedBytes } from './huffman.ts';

test('the code is the one of RFC 7541 appendix B at its landmarks, and complete', () => {
  const landmarks: [number, number, number][] = [
    [0, 0x1ff8, 13],
    [48, 0x0, 5],
    [97, 0x3, 5],
    [32, 0x14, 6],
    [58, 0x5c, 7],
    [38, 0xf8, 8],
    [33, 0x3f8, 10],
    [39, 0x7fa, 11],
    [92, 0x7fff0, 19],
    [128, 0xfffe6, 20],
    [199, 0x1ffffec, 25],
    [255, 0x3ffffee, 26],
    [249, 0xffffffe, 28],
    [22, 0x3ffffffe, 30],
    [256, 0x3fffffff, 30],
  ];
  for (const [symbol, code, bits] of landmarks) {
    assert.equal(HUFFMAN_CODES[symbol], code, `code of ${symbol}`);
    assert.equal(HUFFMAN_BITS[symbol], bits, `bits of ${symbol}`);
  }
  const kraft = HUFFMAN_BITS.reduce((sum, bits) => sum + 2 ** (30 - bits), 0);
  assert.equal(kraft, 2 ** 30);
});

test('every byte, alone and beside every other, survives', () => {
  for (let first = 0; first < 256; first += 1) {
    for (let second = 0; second < 256; second += 1) assertSurvives(String.fromCharCode(first, second));
    assertSurvives(String.fromCharCode(first));
  }
});

test('any latin1 text survives', () => {
  const latin1Text = fc.uint8Array({ maxLength: 300 }).map((bytes) => String.fromCharCode(...bytes));
  fc.assert(fc.property(latin1Text, assertSurvives));
});

test('a character above latin1 becomes a question mark, not the byte it would be cut to', () => {
  assert.equal(roundTrip('a\u010ab\u{1f600}'), 'a?b??');
});

test('padding must be the head of EOS and shorter than a byte, and EOS itself must not appear', () => {
  const out = new Uint8Array(16);
  const decode = (...bytes: number[]) => huffmanDecode(Uint8Array.from(bytes), 0, bytes.length, out);
  assert.equal(decode(), 0);
  assert.equal(decode(0x1f), 1); // 'a' and three ones
  assert.equal(decode(0x18), -1); // 'a' and three zeros
  assert.equal(decode(0x1f, 0xff), -1); // 'a' and eleven ones
  assert.equal(decode(0xff), -1); // eight ones are padding alone, and too long
  assert.equal(decode(0xff, 0xff, 0xff, 0xff), -1); // EOS
  assert.equal(decode(0xff, 0xff, 0xff, 0xfc), -1); // EOS and two zeros
});

test('what does not fit is counted but not written', () => {
  const coded = new Uint8Array(16);
  const length = huffmanEncode('0123456789', coded, 0);
  const out = new Uint8Array(4);
  assert.equal(huffmanDecode(coded, 0, length, out), 10);
  assert.equal(String.fromCharCode(...out), '0123');
});

function assertSurvives(text: string): void {
  assert.equal(roundTrip(text), text);
}

function roundTrip(text: string): string {
  const coded = new Uint8Array(text.length * 4 + 4).fill(0xaa);
  const end = huffmanEncode(text, coded, 2);
  assert.equal(end - 2, huffmanEncodedBytes(text));
  assert.equal(coded[end], 0xaa);
  const out = new Uint8Array(text.length);
  assert.equal(huffmanDecode(coded, 2, end - 2, out), text.length);
  return String.fromCharCode(...out);
}
