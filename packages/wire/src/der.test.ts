import assert from 'node:assert/strict';
import test from 'node:test';
import { fromHex } from '../corpora/corpus.ts';
import { DerReader } from './der.ts';

test('elements are read in turn, and a cursor goes inside one', () => {
  const reader = readerOf('30 05 02 01 07 05 00 04 01 aa');
  assert.ok(reader.expect(0x30));
  const inside = reader.inside();
  assert.ok(inside.at(0x02) && inside.next());
  assert.deepEqual([inside.contentStart, inside.contentEnd], [4, 5]);
  assert.ok(inside.expect(0x05) && inside.done && !inside.failed);
  assert.ok(reader.next() && reader.tag === 0x04 && reader.done && !reader.failed);
  assert.ok(!reader.next() && reader.failed);
});

test('lengths take as few octets as they need', () => {
  const body = 'aa'.repeat(0x80);
  assert.ok(readerOf(`0481 80 ${body}`).next());
  assert.ok(readerOf(`0482 0100 ${body}${body}`).next());
  assert.ok(!readerOf('0481 7f'.concat('aa'.repeat(0x7f))).next());
  assert.ok(!readerOf(`0482 0080 ${body}`).next());
  assert.ok(!readerOf(`0483 000100 ${body}${body}`).next());
});

test('what is not DER fails, and a failed reader stays so', () => {
  const cases = [
    '',
    '30',
    '3080 0000',
    '30ff 00',
    '3084 00000001 00',
    '3002 00',
    '3081',
    '1f01 00',
    '3f01 00',
    '9f06 00',
  ];
  for (const hex of cases) {
    const reader = readerOf(hex);
    assert.ok(!reader.next(), hex);
    assert.ok(reader.failed && reader.done && !reader.next() && !reader.at(0x30), hex);
    assert.ok(reader.inside().failed, hex);
  }
});

test('an element does not reach beyond the one around it', () => {
  const outer = readerOf('30 03 04 02 aa bb cc');
  assert.ok(outer.expect(0x30));
  const inside = outer.inside();
  assert.ok(!inside.next() && inside.failed);
});

test('another tag than the expected one fails', () => {
  const reader = readerOf('0500');
  assert.ok(!reader.expect(0x30) && reader.failed);
});

function readerOf(hex: string): DerReader {
  const bytes = fromHex(hex);
  return new DerReader(bytes, 0, bytes.length);
}
