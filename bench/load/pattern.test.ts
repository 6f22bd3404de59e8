import assert from 'node:assert/strict';
import test from 'node:test';
import { CHUNK_BYTES, MESSAGE_BYTES, PATTERN_PERIOD_BYTES, SAMPLE_EVERY_BYTES } from './limits.ts';
import { mapPattern, matchesPattern, phaseOf } from './pattern.ts';

const pattern = mapPattern().bytes;

test('a whole chunk can be taken from any position of the stream', () => {
  const last = phaseOf(PATTERN_PERIOD_BYTES * 3 - 1);
  assert.equal(last + CHUNK_BYTES <= pattern.length, true);
  assert.deepEqual(pattern.subarray(PATTERN_PERIOD_BYTES, PATTERN_PERIOD_BYTES + 64), pattern.subarray(0, 64));
});

test('bytes as sent match', () => {
  assert.equal(matchesPattern(pattern.subarray(1000, 1000 + CHUNK_BYTES), CHUNK_BYTES, pattern, 1000), true);
});

test('a lost or doubled stretch is noticed', () => {
  for (const shift of [1, 2, 9, 1024, SAMPLE_EVERY_BYTES, 16_384, 65_536, CHUNK_BYTES]) {
    const shifted = pattern.subarray(phaseOf(shift));
    assert.equal(matchesPattern(shifted, CHUNK_BYTES - 1, pattern, 0), false, `shifted by ${shift}`);
  }
});

test('messages that follow one another differ at a byte that is compared', () => {
  let alike = 0;
  for (let i = 0; i < 200; i++) {
    const phase = phaseOf(i * MESSAGE_BYTES);
    const next = pattern.subarray(phaseOf((i + 1) * MESSAGE_BYTES));
    if (matchesPattern(next, MESSAGE_BYTES, pattern, phase)) alike++;
  }
  assert.equal(alike, 0);
});
