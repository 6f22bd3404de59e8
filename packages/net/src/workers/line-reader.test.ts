import assert from 'node:assert/strict';
import test from 'node:test';
import { LOG_LINE_MAX_CHARS, STDERR_LINES_PER_S } from './limits.ts';
import { LineReader } from './line-reader.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('lines come whole however they were cut, and the last one at the end', () => {
  const text = 'one\ntwo été\n\nthree';
  for (let size = 1; size < 8; size++) {
    const lines: string[] = [];
    const reader = new LineReader((line) => lines.push(line));
    const all = bytes(text);
    for (let at = 0; at < all.length; at += size) reader.read(all.subarray(at, at + size), 0);
    reader.end();
    assert.deepEqual(lines, ['one', 'two été', 'three']);
  }
});

test('a line without end is cut, a flood is dropped and counted', () => {
  const lines: string[] = [];
  const reader = new LineReader((line) => lines.push(line));
  for (let i = 0; i < 100; i++) reader.read(bytes('x'.repeat(1024)), 0);
  reader.read(bytes(`\n${'y\n'.repeat(STDERR_LINES_PER_S + 10)}`), 0);
  assert.equal(lines[0]?.length, LOG_LINE_MAX_CHARS);
  assert.equal(lines.length, STDERR_LINES_PER_S);
  reader.read(bytes('z\n'), 1000);
  assert.deepEqual(lines.slice(-2), ['(11 lines dropped)', 'z']);
});
