import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { ReconnectWait } from './reconnect-wait.ts';

const LIMITS = { reconnectMinMs: 20, reconnectMaxMs: 15_000 };
const WITHOUT_CHANCE = { next: () => 0.5, integer: () => 0, bytes: () => new Uint8Array() };

test('waits double from 20 ms to 15 s, and begin again after a reset', () => {
  const wait = new ReconnectWait(LIMITS, WITHOUT_CHANCE);
  const waits = Array.from({ length: 12 }, () => wait.takeMs());
  assert.deepEqual(waits, [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 15_000, 15_000]);
  wait.reset();
  assert.equal(wait.takeMs(), 20);
});

test('chance moves a wait by a fifth at most, and not always alike', () => {
  const rng = seededRng(7);
  const first = Array.from({ length: 100 }, () => new ReconnectWait(LIMITS, rng).takeMs());
  assert.ok(first.every((waitMs) => waitMs >= 16 && waitMs <= 24));
  assert.ok(Math.min(...first) < 17 && Math.max(...first) > 23);
});
