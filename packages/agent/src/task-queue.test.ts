import assert from 'node:assert/strict';
import test from 'node:test';
import { TaskQueue } from './task-queue.ts';

function tasks() {
  const log: string[] = [];
  const open = new Map<string, PromiseWithResolvers<void>>();
  const task = (name: string) => async (): Promise<string> => {
    log.push(`${name} begins`);
    const gate = Promise.withResolvers<void>();
    open.set(name, gate);
    await gate.promise;
    log.push(`${name} ends`);
    return name;
  };
  return { log, open, task };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('tasks of one key follow one another and those of others overlap', async () => {
  const queue = new TaskQueue(10);
  const { log, open, task } = tasks();
  const results = [queue.run('a', task('a1')), queue.run('a', task('a2')), queue.run('b', task('b1'))];
  await tick();
  assert.deepEqual(log, ['a1 begins', 'b1 begins']);
  open.get('a1')?.resolve();
  await tick();
  assert.deepEqual(log.slice(2), ['a1 ends', 'a2 begins']);
  open.get('a2')?.resolve();
  open.get('b1')?.resolve();
  assert.deepEqual(await Promise.all(results), ['a1', 'a2', 'b1']);
  await queue.idle();
});

test('a task that fails tells so and lets the next one run', async () => {
  const queue = new TaskQueue(1);
  const failed = queue.run('a', () => Promise.reject(new Error('no')));
  const next = queue.run('a', () => Promise.resolve('yes'));
  await assert.rejects(failed, /no/);
  assert.equal(await next, 'yes');
});

test('no more than some run at a time, in the order they came', async () => {
  const queue = new TaskQueue(2);
  const { log, open, task } = tasks();
  const results = ['a', 'b', 'c', 'd'].map((name) => queue.run(name, task(name)));
  await tick();
  assert.deepEqual(log, ['a begins', 'b begins']);
  open.get('b')?.resolve();
  await tick();
  assert.deepEqual(log.slice(2), ['b ends', 'c begins']);
  for (const name of ['a', 'c']) open.get(name)?.resolve();
  await tick();
  open.get('d')?.resolve();
  await Promise.all(results);
  await queue.idle();
});
