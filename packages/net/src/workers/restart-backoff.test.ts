import assert from 'node:assert/strict';
import test from 'node:test';
import { RestartBackoff } from './restart-backoff.ts';

test('five deaths in a window are replaced at once, further ones wait longer, up to the most', () => {
  const backoff = new RestartBackoff();
  let nowMs = 1000;
  const delays: number[] = [];
  for (let death = 0; death < 14; death++) {
    const delayMs = backoff.death(nowMs);
    delays.push(delayMs);
    nowMs += delayMs + 50;
  }
  assert.deepEqual(delays.slice(0, 9), [0, 0, 0, 0, 0, 1000, 2000, 3000, 4000]);
  for (let i = 1; i < delays.length; i++)
    assert.ok(delays[i]! >= delays[i - 1]!, 'a loop that goes on never speeds up');
  assert.ok(Math.max(...delays) <= 5000);
});

test('a loop that ended is forgotten after a quiet window', () => {
  const backoff = new RestartBackoff();
  for (let death = 0; death < 8; death++) backoff.death(death);
  assert.equal(backoff.death(7 + 9999), 3000);
  assert.equal(backoff.death(7 + 9999 + 10_000), 0);
});

test('now and then a death never waits', () => {
  const backoff = new RestartBackoff();
  for (let death = 0; death < 100; death++) assert.equal(backoff.death(death * 2100), 0);
});
