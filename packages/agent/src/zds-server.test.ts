/** The agent's side against proxies that follow a script, over a real socket. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, openSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '@ambit/base/log';
import { createReactor } from '@ambit/net/reactor';
import { connectRecords, type RecordLink, type RecordOwner } from '@ambit/net/records';
import { decodeZdsRequest, encodeZdsAck, encodeZdsHello, type ZdsRequest } from '@ambit/wire/zds';
import type { KnownPod, KnownPods } from './known-pods.ts';
import type { ZdsServerLimits } from './limits.ts';
import { ZdsServer } from './zds-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'ambit-zds-server-'));
const reactor = createReactor();
after(async () => {
  await reactor.close();
  rmSync(directory, { recursive: true });
});

/** Files stand in for namespaces: the server only passes them on. */
class Pods implements KnownPods {
  readonly known = new Map<string, KnownPod>();

  put(uid: string, hasNamespace = true): this {
    const namespaceFd = hasNamespace ? openSync(join(directory, `ns-${uid}`), 'a') : null;
    this.known.set(uid, { uid, name: `n-${uid}`, namespace: 'm', serviceAccount: 's', namespaceFd });
    return this;
  }

  delete(uid: string): void {
    const fd = this.known.get(uid)?.namespaceFd;
    if (fd != null) closeSync(fd);
    this.known.delete(uid);
  }

  get(uid: string): KnownPod | undefined {
    return this.known.get(uid);
  }

  uids(): Iterable<string> {
    return this.known.keys();
  }
}

/** A proxy. `add a (ns-a)`, `keep b`, `del c`, `snapshot-sent`. */
class ScriptedProxy implements RecordOwner {
  readonly link: RecordLink;
  readonly heard: string[] = [];
  ended = false;
  /** What is answered; null: nothing. */
  answer: ((heard: string) => string | null) | null = () => '';

  constructor(path: string) {
    this.link = connectRecords(reactor, path, { recordMaxBytes: 1024, fdsMax: 1 }, this);
  }

  hello(): this {
    assert.equal(this.link.send(encodeZdsHello()), null);
    return this;
  }

  onRecord(bytes: Uint8Array, fds: readonly number[]): void {
    const request = decodeZdsRequest(bytes, fds.length);
    assert.notEqual(request.kind, 'refused');
    const heard = describe(request as ZdsRequest, fds);
    this.heard.push(heard);
    const error = this.answer?.(heard) ?? null;
    if (error !== null) this.link.send(encodeZdsAck(error));
  }

  onEnd(): void {
    this.ended = true;
  }

  async hears(...expected: string[]): Promise<void> {
    await until(() => this.heard.length >= expected.length, expected.join(', '));
    assert.deepEqual(this.heard, expected);
    this.heard.length = 0;
  }

  async gone(): Promise<void> {
    await until(() => this.ended, 'the end');
  }
}

function describe(request: ZdsRequest, fds: readonly number[]): string {
  const namespaces = fds.map((fd) => readlinkSync(`/proc/self/fd/${fd}`).slice(directory.length + 1));
  fds.forEach((fd) => {
    closeSync(fd);
  });
  if (request.kind === 'snapshot-sent') return request.kind;
  if (request.kind !== 'add') return `${request.kind} ${request.uid}`;
  assert.deepEqual(request.pod, { name: `n-${request.uid}`, namespace: 'm', serviceAccount: 's' });
  return `add ${request.uid} (${namespaces})`;
}

interface Fixture {
  readonly server: ZdsServer;
  readonly pods: Pods;
  proxy(): ScriptedProxy;
}

async function withServer(
  limits: Partial<ZdsServerLimits>,
  pods: Pods,
  use: (fixture: Fixture) => Promise<void>,
): Promise<void> {
  const path = join(directory, `socket-${counter++}`);
  const server = new ZdsServer({
    reactor,
    path,
    pods,
    log: silentLog,
    limits: { connectionsPerSecond: 1000, ...limits },
  });
  server.listen();
  const proxies: ScriptedProxy[] = [];
  try {
    const proxy = (): ScriptedProxy => {
      const made = new ScriptedProxy(path);
      proxies.push(made);
      return made;
    };
    await use({ server, pods, proxy });
  } finally {
    server.close();
    for (const { link } of proxies) link.close();
    for (const uid of [...pods.known.keys()]) pods.delete(uid);
  }
  assert.equal(existsSync(path), false);
}

let counter = 0;

test('after the hello comes every pod, with its namespace or to be kept, then the end of the snapshot', async () => {
  await withServer({}, new Pods().put('a').put('b', false).put('c'), async ({ server, proxy }) => {
    const newest = proxy();
    await sleep(10);
    assert.deepEqual(newest.heard, [], 'nothing before the hello');
    newest.hello();
    await newest.hears('add a (ns-a)', 'keep b', 'add c (ns-c)', 'snapshot-sent');
    assert.deepEqual(
      ['a', 'b', 'c'].map((uid) => server.hasTold(uid)),
      [true, false, true],
    );
  });
});

test('one message is outstanding at most, whatever waits', async () => {
  await withServer({}, new Pods().put('a'), async ({ server, pods, proxy }) => {
    const newest = proxy().hello();
    newest.answer = null;
    await until(() => newest.heard.length === 1, 'an add');
    pods.put('b');
    const added = server.add('b');
    for (const expected of ['add a (ns-a)', 'snapshot-sent', 'add b (ns-b)']) {
      await sleep(5);
      await newest.hears(expected);
      newest.link.send(encodeZdsAck(''));
    }
    assert.deepEqual(await added, { is: 'done' });
  });
});

test('what changes while the snapshot is sent follows it, and a pod that went is not named', async () => {
  await withServer({}, new Pods().put('a').put('b'), async ({ server, pods, proxy }) => {
    const newest = proxy().hello();
    newest.answer = null;
    await until(() => newest.heard.length === 1, 'an add');
    pods.delete('b');
    const removed = server.remove('b');
    pods.put('c');
    const added = server.add('c');
    newest.answer = () => '';
    newest.link.send(encodeZdsAck(''));
    await newest.hears('add a (ns-a)', 'snapshot-sent', 'del b', 'add c (ns-c)');
    assert.deepEqual(await Promise.all([removed, added]), [[{ is: 'done' }], { is: 'done' }]);
  });
});

test('pods that come are told to the newest proxy alone, pods that go to all', async () => {
  await withServer({}, new Pods(), async ({ server, pods, proxy }) => {
    const older = proxy().hello();
    await older.hears('snapshot-sent');
    const newest = proxy().hello();
    await newest.hears('snapshot-sent');
    assert.deepEqual(await server.add(pods.put('a') && 'a'), { is: 'done' });
    await newest.hears('add a (ns-a)');
    assert.deepEqual(older.heard, []);
    pods.delete('a');
    assert.deepEqual(await server.remove('a'), [{ is: 'done' }, { is: 'done' }]);
    await older.hears('del a');
    await newest.hears('del a');
    assert.equal(server.hasTold('a'), false);
  });
});

test('when the newest proxy goes, the one before it is told of what it missed', async () => {
  await withServer({}, new Pods().put('a'), async ({ server, pods, proxy }) => {
    const older = proxy().hello();
    await older.hears('add a (ns-a)', 'snapshot-sent');
    const newest = proxy().hello();
    await newest.hears('add a (ns-a)', 'snapshot-sent');
    pods.put('b');
    await server.add('b');
    newest.link.close();
    await older.hears('add b (ns-b)');
    assert.equal(server.proxies, 1);
    assert.equal(server.counters.disconnections, 1);
  });
});

test('an error is told to whoever asked, and the connection goes on', async () => {
  await withServer({}, new Pods().put('a'), async ({ server, pods, proxy }) => {
    const newest = proxy().hello();
    newest.answer = (heard) => (heard.startsWith('add') ? 'failure to start proxy : no' : '');
    await newest.hears('add a (ns-a)', 'snapshot-sent');
    assert.equal(server.hasTold('a'), false);
    pods.put('b');
    assert.deepEqual(await server.add('b'), { is: 'refused', error: 'failure to start proxy : no' });
    newest.answer = () => '';
    assert.deepEqual(await server.add('b'), { is: 'done' });
    assert.equal(server.hasTold('b'), true);
  });
});

test('without a proxy nobody is told, nor of a pod without namespace, nor of one whose names fit no record', async () => {
  await withServer({}, new Pods(), async ({ server, pods, proxy }) => {
    assert.deepEqual(await server.add('a'), { is: 'untold', reason: 'no proxy is connected' });
    assert.deepEqual(await server.remove('a'), []);
    const newest = proxy().hello();
    await newest.hears('snapshot-sent');
    pods.put('a', false);
    for (const uid of ['a', 'x']) {
      assert.deepEqual(await server.add(uid), { is: 'untold', reason: 'the pod went meanwhile' });
    }
    const long: KnownPod = { ...(pods.get('a') as KnownPod), name: 'n'.repeat(2000), namespaceFd: 0 };
    pods.known.set('long', long);
    const outcome = await server.add('long');
    assert.equal(outcome.is, 'refused');
    pods.known.delete('long');
    await server.add(pods.put('b') && 'b');
    await newest.hears('add b (ns-b)');
  });
});

const FAULTS: readonly (readonly [title: string, misbehave: (proxy: ScriptedProxy) => void])[] = [
  ['does not say hello', () => {}],
  ['says another version', (proxy) => proxy.link.send(Buffer.from('0802', 'hex'))],
  ['says hello with a descriptor', (proxy) => proxy.link.send(encodeZdsHello(), [0])],
  ['says hello in too many bytes', (proxy) => proxy.link.send(new Uint8Array(1025))],
  [
    'does not answer',
    (proxy) => {
      proxy.answer = null;
      proxy.hello();
    },
  ],
  [
    'answers with something else',
    (proxy) => {
      proxy.answer = null;
      proxy.hello().link.send(Buffer.from('1200', 'hex'));
    },
  ],
];
for (const [title, misbehave] of FAULTS) {
  test(`a proxy that ${title} is given up, and whoever waits for it is told`, async () => {
    await withServer({ answerMs: 50 }, new Pods().put('a'), async ({ server, proxy }) => {
      const bad = proxy();
      misbehave(bad);
      await until(() => server.proxies === 1 || bad.ended, 'a hello or an end');
      const outcome = await server.add('a');
      assert.equal(outcome.is, 'untold');
      await bad.gone();
      assert.equal(server.proxies, 0);
      assert.equal(server.counters.faults, 1);
      const good = proxy().hello();
      await good.hears('add a (ns-a)', 'snapshot-sent');
    });
  });
}

test('a proxy that speaks without being asked is given up', async () => {
  await withServer({}, new Pods(), async ({ server, proxy }) => {
    const bad = proxy().hello();
    await bad.hears('snapshot-sent');
    await sleep(5);
    bad.link.send(encodeZdsAck(''));
    await bad.gone();
    assert.equal(server.counters.faults, 1);
  });
});

test('a proxy that is too far behind is given up and told everything when it comes again', async () => {
  await withServer({ queueMax: 2 }, new Pods(), async ({ server, pods, proxy }) => {
    const slow = proxy().hello();
    slow.answer = (heard) => (heard === 'snapshot-sent' ? '' : null);
    await slow.hears('snapshot-sent');
    await sleep(5);
    const added = ['a', 'b', 'c'].map((uid) => server.add(pods.put(uid) && uid));
    for (const outcome of await Promise.all(added)) {
      assert.deepEqual(outcome, { is: 'untold', reason: 'it is too far behind' });
    }
    await slow.gone();
    const again = proxy().hello();
    await again.hears('add a (ns-a)', 'add b (ns-b)', 'add c (ns-c)', 'snapshot-sent');
  });
});

test('connections come no faster than they may, and no more of them', async () => {
  await withServer({ connectionsPerSecond: 20, connectionsMax: 2 }, new Pods(), async ({ server, proxy }) => {
    const startMs = performance.now();
    const proxies = [proxy().hello(), proxy().hello(), proxy().hello()];
    await until(() => server.counters.connections === 3, 'three connections');
    assert.ok(performance.now() - startMs >= 100, 'two waits of 50 ms lie between three connections');
    await proxies[2]?.gone();
    assert.equal(server.proxies, 2);
    assert.equal(server.counters.faults, 1);
  });
});

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 5000, `${what} never came`);
    await sleep(1);
  }
}
