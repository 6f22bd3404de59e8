import assert from 'node:assert/strict';
import test from 'node:test';
import { ManualClock, monotonicClock, wallClock } from './clock.ts';

test('the monotonic clock never goes back', () => {
  let beforeMs = monotonicClock.nowMs();
  for (let i = 0; i < 10_000; i++) {
    const nowMs = monotonicClock.nowMs();
    assert.ok(nowMs >= beforeMs);
    beforeMs = nowMs;
  }
});

test('the wall clock knows the date', () => {
  const beforeMs = Date.now();
  const nowMs = wallClock.nowMs();
  assert.ok(nowMs >= beforeMs && nowMs <= Date.now());
});

test('a manual clock stands still until it is told, and never goes back', () => {
  const clock = new ManualClock(100);
  assert.equal(clock.nowMs(), 100);
  clock.advance(0.5);
  assert.equal(clock.nowMs(), 100.5);
  assert.throws(() => clock.advance(-1), /assertion failed/);
  assert.throws(() => clock.advance(Number.NaN), /assertion failed/);
  assert.equal(clock.nowMs(), 100.5);
});
