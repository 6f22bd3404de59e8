import assert from 'node:assert/strict';
import test from 'node:test';
import { ManualClock } from '@ambit/base/clock';
import { TimerWheel } from '@ambit/base/timer-wheel';
import { RoundRobin } from './round-robin.ts';

function world(keys: string[], stepMinMs: number) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const visits: string[] = [];
  let gate: Promise<void> = Promise.resolve();
  const robin = new RoundRobin({
    after: (delayMs, callback) => wheel.schedule(delayMs, callback),
    keys: () => keys,
    visit: async (key) => {
      visits.push(`${key} at ${clock.nowMs()}`);
      await gate;
    },
    periodMs: 100,
    stepMinMs,
  });
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 1) {
      clock.advance(1);
      wheel.advance(clock.nowMs());
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { robin, visits, pass, hold: (promise: Promise<void>) => (gate = promise) };
}

test('each key is visited once in a period, one after the other', async () => {
  const { robin, visits, pass } = world(['a', 'b'], 1);
  await pass(200);
  robin.stop();
  assert.deepEqual(visits, ['a at 50', 'b at 100', 'a at 150', 'b at 200']);
  await pass(100);
  assert.equal(visits.length, 4);
});

test('many keys are not visited faster than the least step, and keys that come are visited in the next round', async () => {
  const keys = ['a', 'b', 'c'];
  const { robin, visits, pass } = world(keys, 60);
  await pass(60);
  keys.push('d');
  await pass(240);
  robin.stop();
  assert.deepEqual(visits, ['a at 60', 'b at 120', 'c at 180', 'a at 240', 'b at 300']);
});

test('a visit that takes long is waited for, and without keys nothing happens', async () => {
  const { robin, visits, pass, hold } = world(['a'], 10);
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  await pass(400);
  assert.deepEqual(visits, ['a at 100']);
  gate.resolve();
  await pass(110);
  assert.equal(visits.length, 2);
  robin.stop();
  const empty = world([], 10);
  await empty.pass(300);
  assert.deepEqual(empty.visits, []);
  empty.robin.stop();
});
