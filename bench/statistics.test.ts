import assert from 'node:assert/strict';
import test from 'node:test';
import { median, pairedRatio, percentile, spread } from './statistics.ts';

test('the median of an even number of values lies between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
});

test('numbers are ordered by size and not by their text', () => {
  assert.deepEqual(spread([9, 100, 20]), { median: 20, min: 9, max: 100 });
});

test('without values there is no figure', () => {
  assert.ok(Number.isNaN(median([])));
  assert.ok(Number.isNaN(spread([]).min));
  assert.ok(Number.isNaN(percentile(new Float32Array(0), 0.5)));
});

test('a failed run keeps its place and does not count', () => {
  assert.deepEqual(spread([Number.NaN, 3, 1]), { median: 2, min: 1, max: 3 });
  assert.equal(pairedRatio([Number.NaN, 6, 9], [1, 2, 3]), 3);
});

test('a percentile is a value that was measured', () => {
  const hundred = Float32Array.from({ length: 100 }, (_, i) => i + 1);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 1), 100);
  assert.equal(percentile(Float32Array.of(7), 0.99), 7);
});

test('runs are compared with their neighbour, so a disturbance of both leaves the ratio alone', () => {
  assert.equal(pairedRatio([100, 10, 90], [50, 5, 45]), 2);
});

test('a run without a counterpart does not count', () => {
  assert.equal(pairedRatio([100, 10], [50]), 2);
  assert.ok(Number.isNaN(pairedRatio([], [1])));
  assert.equal(pairedRatio([100, 10], [0, 5]), 2);
});
