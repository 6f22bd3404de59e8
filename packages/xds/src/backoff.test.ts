import assert from 'node:assert/strict';
import test from 'node:test';
import { nextBackoff, type StreamEnd } from './backoff.ts';

const error = new Error('x');
const status = (code: number, details = ''): StreamEnd => ({ is: 'status', code, details, error });
const LONG_MS = 60_000;

test('the delay before the next stream follows from how the last one ended', () => {
  const rows: [string, number, StreamEnd, number, { delayMs: number; backoffMs: number }][] = [
    ['first failure to connect', 10, { is: 'connectFailed', error }, 5, { delayMs: 20, backoffMs: 20 }],
    ['the next one', 20, { is: 'connectFailed', error }, 5, { delayMs: 40, backoffMs: 40 }],
    ['a slow one is no better', 40, { is: 'connectFailed', error }, LONG_MS, { delayMs: 80, backoffMs: 80 }],
    ['at most 15 s', 10_240, { is: 'connectFailed', error }, 5, { delayMs: 15_000, backoffMs: 15_000 }],
    ['clean end', 640, { is: 'ended' }, LONG_MS, { delayMs: 0, backoffMs: 10 }],
    ['clean end at once', 640, { is: 'ended' }, 999, { delayMs: 1280, backoffMs: 1280 }],
    ['UNKNOWN', 640, status(2), LONG_MS, { delayMs: 10, backoffMs: 10 }],
    ['CANCELLED', 640, status(1), LONG_MS, { delayMs: 10, backoffMs: 10 }],
    ['DEADLINE_EXCEEDED', 640, status(4), LONG_MS, { delayMs: 10, backoffMs: 10 }],
    ['closing', 640, status(14, '14: transport is closing'), LONG_MS, { delayMs: 10, backoffMs: 10 }],
    ['goaway', 640, status(14, 'received prior goaway: x'), LONG_MS, { delayMs: 10, backoffMs: 10 }],
    ['UNKNOWN at once', 640, status(2), 0, { delayMs: 1280, backoffMs: 1280 }],
    ['UNAVAILABLE', 640, status(14, 'reset'), 0, { delayMs: 1280, backoffMs: 1280 }],
    ['UNAVAILABLE after a life', 640, status(14, 'reset'), LONG_MS, { delayMs: 20, backoffMs: 20 }],
    ['UNAUTHENTICATED', 20, status(16), 50, { delayMs: 40, backoffMs: 40 }],
    ['a fault of our own', 20, { is: 'fault', error }, 50, { delayMs: 40, backoffMs: 40 }],
  ];
  for (const [name, backoffMs, end, livedMs, expected] of rows) {
    assert.deepEqual(nextBackoff(backoffMs, end, livedMs), expected, name);
  }
});

test('ten thousand streams that end at once take more than a day', () => {
  let backoffMs = 10;
  let totalMs = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const next = nextBackoff(backoffMs, i % 2 === 0 ? { is: 'ended' } : status(2), 3);
    backoffMs = next.backoffMs;
    totalMs += next.delayMs;
  }
  assert.ok(totalMs > 86_400_000);
});
