/** Timers. */
import assert from 'node:assert/strict';
import type { Kit, Suite } from './kit.ts';

export function timingCases(suite: Suite): void {
  suite.case('timers fire in order of their time, equal ones in order of creation', order);
  suite.case('a cancelled timer does not fire', cancelling);
  suite.case('no timer fires inside the call that sets it, or early', notEarly);
}

async function order(kit: Kit): Promise<void> {
  const fired: string[] = [];
  for (const [delayMs, name] of [
    [30, 'd'],
    [10, 'a'],
    [20, 'c'],
    [10, 'b'],
    [50, 'e'],
  ] as const) {
    kit.client.after(delayMs, () => fired.push(name));
  }
  await kit.settle(() => fired.length === 5);
  assert.equal(fired.join(''), 'abcde');
}

async function cancelling(kit: Kit): Promise<void> {
  const fired: string[] = [];
  const early = kit.client.after(5, () => fired.push('early'));
  const late = kit.client.after(20, () => fired.push('late'));
  kit.client.after(10, () => {
    fired.push('canceller');
    late.cancel();
    late.cancel();
  });
  early.cancel();
  await kit.pass(40);
  assert.deepEqual(fired, ['canceller']);
}

async function notEarly(kit: Kit): Promise<void> {
  let firedMs = -1;
  const startMs = kit.client.nowMs();
  kit.client.after(0, () => {
    kit.client.after(25, () => {
      firedMs = kit.client.nowMs();
    });
  });
  assert.equal(firedMs, -1);
  await kit.settle(() => firedMs >= 0);
  assert.ok(firedMs - startMs >= 24);
}
