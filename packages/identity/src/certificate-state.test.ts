import assert from 'node:assert/strict';
import test from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import { seededRng } from '@ambit/base/rng';
import { afterFetch, goesBefore, isValid, type Planned, type Standing } from './certificate-state.ts';
import { LIFE_MS, madeUp, START_MS } from './manual-world.fixture.ts';

const rng = seededRng(1);
const certificate = madeUp('id', START_MS);
const down = new AmbitError('DOWN', 'down', { side: 'upstream', retry: 'safe' });
const available: Standing = { state: { is: 'available', certificate }, failures: 0 };

test('the more urgent goes first however late it came, and of equals the one due earlier', () => {
  const ordered: Planned[] = [
    { priority: 'realTime', dueMs: 30 },
    { priority: 'realTime', dueMs: 31 },
    { priority: 'warmUp', dueMs: 20 },
    { priority: 'warmUp', dueMs: 21 },
    { priority: 'background', dueMs: 10 },
    { priority: 'background', dueMs: 11 },
  ];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) assert.equal(goesBefore(a, b), i < j, `${i} before ${j}`);
  }
});

test('a fetched certificate clears the failures and is due again at half its life', () => {
  const before: Standing = { state: { is: 'unavailable', error: down }, failures: 7 };
  const next = afterFetch(before, { is: 'fetched', certificate }, START_MS, rng);
  assert.deepEqual(next, { ...available, dueMs: START_MS + LIFE_MS / 2 });
});

test('a failure leaves a valid certificate and no other', () => {
  const outcome = { is: 'failed', error: down } as const;
  const lastMs = START_MS + LIFE_MS - 1;
  assert.deepEqual(afterFetch(available, outcome, lastMs, rng), { ...available, failures: 1, dueMs: lastMs + 1 });
  const { state, failures } = afterFetch(available, outcome, lastMs + 1, rng);
  assert.deepEqual({ state, failures }, { state: { is: 'unavailable', error: down }, failures: 1 });
});

test('a certificate is valid until its very end', () => {
  assert.equal(isValid(available.state, START_MS + LIFE_MS - 1), true);
  assert.equal(isValid(available.state, START_MS + LIFE_MS), false);
  assert.equal(isValid({ is: 'initializing' }, START_MS), false);
});
