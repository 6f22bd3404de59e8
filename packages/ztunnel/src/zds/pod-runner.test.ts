import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { RecordingHost } from './pod-host.fixture.ts';
import { PodNamespace } from './pod-namespace.ts';
import { PodRunner } from './pod-runner.ts';

/** Files stand in for namespaces: what counts is inode and device. */
const directory = mkdtempSync(join(tmpdir(), 'ambit-runner-'));
after(() => rmSync(directory, { recursive: true }));
const POD = { name: 'n', namespace: 'm', serviceAccount: 's' };

const namespace = (name: string): PodNamespace => new PodNamespace(openSync(join(directory, name), 'a'));

function openNamespaces(): string[] {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return targets.filter((target) => target.startsWith(directory)).map((target) => target.slice(directory.length + 1));
}

function world() {
  const host = new RecordingHost();
  const stopFailures: string[] = [];
  let changes = 0;
  const runner = new PodRunner({
    host,
    onChange: () => {
      changes += 1;
    },
    onStopFailed: (uid, error) => stopFailures.push(`${uid}: ${error.message}`),
  });
  return { host, runner, stopFailures, changes: () => changes };
}

test('a pod is started with its names and namespace, and its descriptor is open until it stopped', async () => {
  const { host, runner, changes } = world();
  const given = namespace('a');
  assert.equal(await runner.run('a', POD, given), '');
  assert.deepEqual(host.pods.get('a'), { uid: 'a', ...POD, namespaceFd: given.fd });
  assert.equal(runner.pending, 0);
  assert.equal(changes(), 1);
  host.held.add('a');
  runner.stop('a', 'drain');
  await tick();
  assert.deepEqual(openNamespaces(), ['a']);
  host.held.clear();
  await runner.settled();
  assert.deepEqual(host.calls, ['start a', 'started a', 'stop a drain', 'stopped a']);
  assert.deepEqual(openNamespaces(), []);
  assert.equal(runner.size, 0);
});

test('the same namespace again changes nothing', async () => {
  const { host, runner } = world();
  await runner.run('a', POD, namespace('a'));
  assert.equal(await runner.run('a', POD, namespace('a')), '');
  assert.deepEqual(host.calls, ['start a', 'started a']);
  assert.deepEqual(openNamespaces(), ['a']);
  await end(runner);
});

test('another namespace stops the old proxy at once before the new one starts', async () => {
  const { host, runner } = world();
  await runner.run('a', POD, namespace('a'));
  assert.equal(await runner.run('a', POD, namespace('a2')), '');
  assert.deepEqual(host.calls.slice(2), ['stop a immediate', 'stopped a', 'start a', 'started a']);
  assert.deepEqual(openNamespaces(), ['a2']);
  await end(runner);
});

test('a pod that fails is pending, is tried again and runs in the end', async () => {
  const { host, runner } = world();
  host.failing.set('a', 'bind: EADDRINUSE');
  assert.equal(await runner.run('a', POD, namespace('a')), 'bind: EADDRINUSE');
  assert.equal(runner.pending, 1);
  runner.retryPending();
  await runner.settled();
  assert.equal(runner.pending, 1);
  host.failing.clear();
  runner.retryPending();
  await runner.settled();
  assert.equal(runner.pending, 0);
  assert.deepEqual(host.calls, ['start a', 'start a', 'start a', 'started a']);
  await end(runner);
});

test('a pending pod that is forgotten is not tried again, and one that runs is left alone', async () => {
  const { host, runner } = world();
  host.failing.set('a', 'no');
  await runner.run('a', POD, namespace('a'));
  await runner.run('b', POD, namespace('b'));
  for (const uid of ['a', 'b', 'x']) runner.forgetPending(uid);
  await runner.settled();
  assert.deepEqual(openNamespaces(), ['b']);
  assert.equal(runner.has('a'), false);
  host.calls.length = 0;
  runner.retryPending();
  await runner.settled();
  assert.deepEqual(host.calls, []);
  await end(runner);
});

test('a pod that goes while it starts is stopped once it has', async () => {
  const { host, runner } = world();
  host.held.add('a');
  const run = runner.run('a', POD, namespace('a'));
  await tick();
  runner.stop('a', 'immediate');
  assert.deepEqual(openNamespaces(), ['a'], 'the host still uses it');
  host.held.clear();
  assert.equal(await run, 'it is not wanted any more');
  await runner.settled();
  assert.deepEqual(host.calls, ['start a', 'started a', 'stop a immediate', 'stopped a']);
  assert.deepEqual(openNamespaces(), []);
});

test('a pod that comes again while it stops starts after that', async () => {
  const { host, runner } = world();
  await runner.run('a', POD, namespace('a'));
  host.held.add('a');
  runner.stop('a', 'drain');
  await tick();
  const again = runner.run('a', POD, namespace('a'));
  host.held.clear();
  assert.equal(await again, '');
  assert.deepEqual(host.calls.slice(2), ['stop a drain', 'stopped a', 'start a', 'started a']);
  assert.deepEqual(openNamespaces(), ['a']);
  await end(runner);
});

test('a pod that the host could not stop counts as stopped, and is told', async () => {
  const { host, runner, stopFailures } = world();
  await runner.run('a', POD, namespace('a'));
  host.stop = () => Promise.reject(new Error('stuck'));
  runner.stop('a', 'drain');
  await runner.settled();
  assert.deepEqual(stopFailures, ['a: stuck']);
  assert.deepEqual(openNamespaces(), []);
});

test('all but the named are stopped, whether they run or wait', async () => {
  const { host, runner } = world();
  host.failing.set('c', 'no');
  for (const uid of ['a', 'b', 'c']) await runner.run(uid, POD, namespace(uid));
  assert.deepEqual(runner.stopAllBut(new Set(['b', 'x']), 'immediate'), ['a', 'c']);
  await runner.settled();
  assert.deepEqual([...host.pods.keys()], ['b']);
  assert.deepEqual(openNamespaces(), ['b']);
  await end(runner);
});

test('whatever order things come in, what was wanted last is what runs, and no descriptor is left', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const rng = seededRng(seed);
    const { host, runner } = world();
    const wanted = new Map<string, string>();
    for (let step = 0; step < 40; step += 1) {
      const uid = `p${rng.integer(3)}`;
      const act = rng.integer(6);
      if (act <= 1) {
        const name = `${uid}-${rng.integer(2)}`;
        wanted.set(uid, name);
        void runner.run(uid, POD, namespace(name));
      } else if (act === 2) {
        wanted.delete(uid);
        runner.stop(uid, 'drain');
      } else if (act === 3) {
        if (host.failing.has(uid)) host.failing.delete(uid);
        else host.failing.set(uid, 'no');
      } else if (act === 4) runner.retryPending();
      else await (rng.integer(2) === 0 ? null : tick());
    }
    host.failing.clear();
    await runner.settled();
    runner.retryPending();
    await runner.settled();
    assert.deepEqual([...host.pods.keys()].sort(), [...wanted.keys()].sort(), `seed ${seed}`);
    assert.deepEqual(openNamespaces().sort(), [...wanted.values()].sort(), `seed ${seed}`);
    for (const [uid, { namespaceFd }] of host.pods) {
      assert.equal(
        readlinkSync(`/proc/self/fd/${namespaceFd}`),
        join(directory, wanted.get(uid) ?? ''),
        `seed ${seed}`,
      );
    }
    await end(runner);
    assert.deepEqual(openNamespaces(), [], `seed ${seed}`);
  }
});

test('files stand in well: two descriptors of one are the same, those of two are not', () => {
  const [a, again, b] = [namespace('a'), namespace('a'), namespace('b')];
  assert.equal(a.isSame(again), true);
  assert.equal(a.isSame(b), false);
  for (const each of [a, again, b]) each.close();
  a.close();
  assert.throws(() => closeSync(a.fd), /EBADF/);
});

async function end(runner: PodRunner): Promise<void> {
  runner.stopAllBut(new Set(), 'immediate');
  await runner.settled();
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
