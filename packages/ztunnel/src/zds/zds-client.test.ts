/** The proxy's side against an agent that follows a script: each situation of Istio's table, over a real socket. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '@ambit/base/log';
import { seededRng } from '@ambit/base/rng';
import { createReactor } from '@ambit/net/reactor';
import { RecordLink, RecordListener, type RecordOwner } from '@ambit/net/records';
import { encodeZdsRequest, type ZdsRequest } from '@ambit/wire/zds';
import type { ZdsClientLimits } from './limits.ts';
import { RecordingHost } from './pod-host.fixture.ts';
import { ZdsClient } from './zds-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'ambit-zds-client-'));
const reactor = createReactor();
after(async () => {
  await reactor.close();
  rmSync(directory, { recursive: true });
});

const POD = { name: 'n', namespace: 'm', serviceAccount: 's' };
const ACK = '0a00';
const KEEP: ZdsRequest = { kind: 'keep', uid: 'a' };
const DEL: ZdsRequest = { kind: 'del', uid: 'a' };
const SENT: ZdsRequest = { kind: 'snapshot-sent' };

/** One connection of the client, as the agent sees it. */
class Script implements RecordOwner {
  readonly link: RecordLink;
  readonly records: Buffer[] = [];
  ended = false;

  constructor(fd: number) {
    this.link = new RecordLink(reactor, fd, { recordMaxBytes: 1024, fdsMax: 0 }, this);
  }

  onRecord(bytes: Uint8Array): void {
    this.records.push(Buffer.from(bytes));
  }

  onEnd(): void {
    this.ended = true;
  }

  async next(): Promise<string> {
    await until(() => this.records.length > 0, 'a record');
    return (this.records.shift() as Buffer).toString('hex');
  }

  sendRaw(hex: string, namespaces: readonly string[] = []): void {
    const fds = namespaces.map(openNamespace);
    assert.equal(this.link.send(Buffer.from(hex, 'hex'), fds), null);
    for (const fd of fds) closeSync(fd);
  }

  /** The answer to a request. */
  ask(request: ZdsRequest, ...namespaces: string[]): Promise<string> {
    this.sendRaw(Buffer.from(encodeZdsRequest(request)).toString('hex'), namespaces);
    return this.next();
  }

  add(uid: string, namespace: string = uid): Promise<string> {
    return this.ask({ kind: 'add', uid, pod: POD }, namespace);
  }

  async gone(): Promise<void> {
    await until(() => this.ended, 'the end');
  }
}

interface Agent {
  readonly client: ZdsClient;
  readonly host: RecordingHost;
  readonly readiness: boolean[];
  /** The next connection, which said hello. */
  connection(): Promise<Script>;
}

async function withAgent(limits: Partial<ZdsClientLimits>, use: (agent: Agent) => Promise<void>): Promise<void> {
  const path = join(directory, `socket-${counter++}`);
  const scripts: Script[] = [];
  const listener = new RecordListener(reactor, path, (fd) => scripts.push(new Script(fd)));
  const host = new RecordingHost();
  const readiness: boolean[] = [];
  const client = new ZdsClient({
    reactor,
    path,
    host,
    log: silentLog,
    rng: seededRng(1),
    onReadiness: (ready) => readiness.push(ready),
    limits: { reconnectMinMs: 1, ...limits },
  });
  let used = 0;
  client.start();
  try {
    const connection = async (): Promise<Script> => {
      await until(() => scripts.length > used, 'a connection');
      const script = scripts[used++] as Script;
      assert.equal(await script.next(), '0801');
      return script;
    };
    await use({ client, host, readiness, connection });
  } finally {
    host.held.clear();
    await client.close();
    for (const { link } of scripts) link.close();
    listener.close();
  }
  assert.deepEqual(openNamespaces(), [], 'no namespace is left open');
}

let counter = 0;

test('a snapshot, then changes: pods start and stop, and each request is answered in order', async () => {
  await withAgent({}, async ({ client, host, readiness, connection }) => {
    const agent = await connection();
    assert.equal(await agent.add('a'), ACK);
    assert.deepEqual(
      [...host.pods.values()].map(({ namespaceFd, ...pod }) => [pod, namespaceName(namespaceFd)]),
      [[{ uid: 'a', ...POD }, 'a']],
    );
    assert.equal(client.ready, false);
    assert.equal(await agent.ask(SENT), ACK);
    assert.equal(client.ready, true);
    assert.equal(await agent.add('b'), ACK);
    assert.equal(await agent.ask(DEL), ACK);
    await until(() => !host.pods.has('a'), 'a stop');
    assert.deepEqual(host.calls.slice(-2), ['stop a drain', 'stopped a']);
    assert.deepEqual([...host.pods.keys()], ['b']);
    assert.deepEqual(readiness, [true]);
    assert.deepEqual(openNamespaces(), ['b']);
  });
});

test('the same uid in the same namespace is taken and changes nothing', async () => {
  await withAgent({}, async ({ host, connection }) => {
    const agent = await connection();
    assert.equal(await agent.add('a'), ACK);
    assert.equal(await agent.add('a'), ACK);
    assert.deepEqual(host.calls, ['start a', 'started a']);
  });
});

test('the same uid in another namespace cuts the old proxy and starts a new one', async () => {
  await withAgent({}, async ({ host, connection }) => {
    const agent = await connection();
    await agent.add('a');
    assert.equal(await agent.add('a', 'a2'), ACK);
    assert.deepEqual(host.calls.slice(2), ['stop a immediate', 'stopped a', 'start a', 'started a']);
    assert.equal(namespaceName(host.pods.get('a')?.namespaceFd ?? -1), 'a2');
  });
});

test('a proxy that does not start is told, keeps the connection, and is tried again until it runs', async () => {
  await withAgent({ retryMs: 20 }, async ({ client, host, readiness, connection }) => {
    const agent = await connection();
    host.failing.set('a', 'bind [::]:15008: EADDRINUSE');
    assert.equal(errorOf(await agent.add('a')), 'failure to start proxy : bind [::]:15008: EADDRINUSE');
    assert.equal(await agent.ask(SENT), ACK);
    assert.equal(client.ready, false);
    assert.equal(client.pending, 1);
    await until(() => host.calls.length >= 3, 'two more attempts');
    host.failing.clear();
    await until(() => client.ready, 'readiness');
    assert.deepEqual(readiness, [true]);
    assert.equal(await agent.add('b'), ACK);
    assert.deepEqual([client.counters.startFailures, client.counters.nacks], [1, 1]);
  });
});

test('a proxy that starts slowly is answered in time, runs later, and requests behind it wait their turn', async () => {
  await withAgent({ answerMs: 30, retryMs: 10 }, async ({ client, host, connection }) => {
    const agent = await connection();
    host.held.add('a');
    agent.sendRaw(Buffer.from(encodeZdsRequest({ kind: 'add', uid: 'a', pod: POD })).toString('hex'), ['a']);
    agent.sendRaw(Buffer.from(encodeZdsRequest(SENT)).toString('hex'));
    assert.equal(errorOf(await agent.next()), 'failure to start proxy : not started within 30 ms');
    assert.equal(await agent.next(), ACK);
    assert.equal(client.ready, false);
    host.held.clear();
    await until(() => client.ready, 'readiness');
    assert.deepEqual(host.calls, ['start a', 'started a']);
  });
});

test('a del before the end of the snapshot only takes the name back, and the end stops the proxy', async () => {
  await withAgent({}, async ({ host, connection }) => {
    const agent = await connection();
    await agent.add('a');
    assert.equal(await agent.ask(DEL), ACK);
    await sleep(5);
    assert.deepEqual(host.calls, ['start a', 'started a']);
    assert.equal(await agent.ask(SENT), ACK);
    await until(() => host.calls.includes('stopped a'), 'a stop');
    assert.deepEqual(host.calls.slice(2), ['stop a immediate', 'stopped a']);
  });
});

test('a del before the end of the snapshot also ends the attempts', async () => {
  await withAgent({ retryMs: 10 }, async ({ client, host, connection }) => {
    const agent = await connection();
    host.failing.set('a', 'no');
    await agent.add('a');
    assert.equal(await agent.ask(DEL), ACK);
    await until(() => client.pending === 0, 'nothing pending');
    const calls = host.calls.length;
    await sleep(30);
    assert.equal(host.calls.length, calls);
  });
});

test('a del of an unknown pod is taken', async () => {
  await withAgent({}, async ({ host, connection }) => {
    const agent = await connection();
    assert.equal(await agent.ask(DEL), ACK);
    assert.equal(await agent.ask(SENT), ACK);
    assert.equal(await agent.ask(DEL), ACK);
    assert.deepEqual(host.calls, []);
  });
});

test('proxies run on without an agent; the next snapshot keeps, changes and stops them', async () => {
  await withAgent({}, async ({ client, host, readiness, connection }) => {
    const first = await connection();
    for (const uid of ['a', 'b', 'c']) await first.add(uid);
    await first.ask(SENT);
    first.link.close();
    await until(() => !client.ready, 'the loss of readiness');
    const second = await connection();
    assert.deepEqual([...host.pods.keys()], ['a', 'b', 'c']);
    assert.equal(await second.ask(KEEP), ACK);
    assert.equal(await second.add('b'), ACK);
    assert.equal(client.ready, false);
    host.calls.length = 0;
    assert.equal(await second.ask(SENT), ACK);
    assert.equal(client.ready, true);
    await until(() => !host.pods.has('c'), 'a stop');
    assert.deepEqual(host.calls, ['stop c immediate', 'stopped c']);
    assert.deepEqual(readiness, [true, false, true]);
    assert.equal(client.counters.disconnected, 1);
  });
});

const PROTOCOL_ERRORS: readonly (readonly [title: string, send: (agent: Script) => void, reason: string])[] = [
  ['a keep after the snapshot', (agent) => agent.sendRaw('2a030a0161'), 'pod received keep after snapshot'],
  ['a second snapshot', (agent) => agent.sendRaw('1a00'), 'pod snapshot received already'],
  [
    'an add without workload_info',
    (agent) => agent.sendRaw('0a030a0161', ['a']),
    'add of a came without workload_info',
  ],
];
for (const [title, send, reason] of PROTOCOL_ERRORS) {
  test(`${title} is refused and counted; pods run on and the client connects anew`, async () => {
    await withAgent({}, async ({ client, host, connection }) => {
      const first = await connection();
      await first.add('b');
      await first.ask(SENT);
      send(first);
      assert.equal(errorOf(await first.next()), `failure to process message : ${reason}`);
      await first.gone();
      assert.equal(client.ready, false);
      const second = await connection();
      assert.deepEqual([...host.pods.keys()], ['b']);
      assert.equal(await second.add('b'), ACK);
      assert.equal(await second.ask(SENT), ACK);
      assert.deepEqual([client.counters.protocolErrors, client.counters.malformed], [1, 0]);
      assert.deepEqual(host.calls, ['start b', 'started b']);
    });
  });
}

const MALFORMED: readonly (readonly [title: string, send: (agent: Script) => void, reason: RegExp | null])[] = [
  ['an add without its namespace', (agent) => agent.sendRaw('0a050a01611200'), /add came with 0 descriptors/],
  ['a del with a namespace', (agent) => agent.sendRaw('1203120161', ['a']), /del came with 1 descriptors/],
  ['bytes that are no message', (agent) => agent.sendRaw('ffffffff'), /not a message/],
  // Cut or robbed of descriptors by the kernel: nothing can be said of it.
  ['an add with two namespaces', (agent) => agent.sendRaw('0a050a01611200', ['a', 'b']), null],
  ['a record beyond the buffer', (agent) => agent.sendRaw('00'.repeat(1025)), null],
];
for (const [title, send, reason] of MALFORMED) {
  test(`${title} ends the connection, leaves no descriptor, and the client connects anew`, async () => {
    await withAgent({}, async ({ client, connection }) => {
      const first = await connection();
      send(first);
      if (reason !== null) assert.match(errorOf(await first.next()), reason);
      await first.gone();
      assert.deepEqual(openNamespaces(), []);
      const second = await connection();
      assert.equal(await second.ask(SENT), ACK);
      assert.equal(client.ready, true);
      assert.deepEqual([client.counters.protocolErrors, client.counters.malformed], [0, 1]);
    });
  });
}

test('an agent that is not there yet is waited for, and a client that closes comes no more', async () => {
  const path = join(directory, 'later');
  const host = new RecordingHost();
  const limits = { reconnectMinMs: 1, reconnectMaxMs: 4 };
  const client = new ZdsClient({ reactor, path, host, log: silentLog, rng: seededRng(2), limits });
  client.start();
  await until(() => client.counters.connectFailures >= 3, 'three failures');
  const scripts: Script[] = [];
  const listener = new RecordListener(reactor, path, (fd) => scripts.push(new Script(fd)));
  await until(() => scripts.length === 1, 'a connection');
  await scripts[0]?.next();
  await scripts[0]?.add('a');
  await client.close();
  await scripts[0]?.gone();
  assert.deepEqual(host.calls.slice(2), ['stop a drain', 'stopped a']);
  await sleep(20);
  assert.equal(scripts.length, 1);
  listener.close();
  assert.deepEqual(openNamespaces(), []);
});

test('the bound on pods is told and the connection kept', async () => {
  await withAgent({ podsMax: 1 }, async ({ host, connection }) => {
    const agent = await connection();
    assert.equal(await agent.add('a'), ACK);
    assert.equal(errorOf(await agent.add('b')), 'failure to start proxy : more than 1 pods');
    assert.equal(await agent.add('a'), ACK);
    assert.deepEqual([...host.pods.keys()], ['a']);
  });
});

/** Files stand in for namespaces: the client compares inode and device and hands the descriptor on. */
function openNamespace(name: string): number {
  return openSync(join(directory, `ns-${name}`), 'a');
}

function namespaceName(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`).slice(join(directory, 'ns-').length);
}

function openNamespaces(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(join(directory, 'ns-')) ? [namespaceName(Number(fd))] : [];
    } catch {
      return [];
    }
  });
}

/** Of an ack with one: two lengths of one or two bytes before the text. */
function errorOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  assert.equal(bytes[0], 0x0a);
  assert.notEqual(hex, ACK);
  return bytes.subarray((bytes[1] as number) < 128 ? 4 : bytes.indexOf(0x0a, 1) + 3).toString();
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 5000, `${what} never came`);
    await sleep(1);
  }
}
