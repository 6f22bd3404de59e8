/** The rules of the FFI that concern the reactor as a whole, each against the real kernel and OpenSSL. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import { closeDescriptor, connectSocket, eventfd, openSocket } from '@ambit/platform/socket';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '@ambit/testkit/authority';
import type { Connection, Receiver, TlsContext } from '../engine.ts';
import { createReactor, type Reactor } from './index.ts';

const LOOPBACK = '127.0.0.1';
const RLIMIT_NOFILE = 7;

function reactorFor(t: TestContext): Reactor {
  const reactor = createReactor();
  t.after(() => reactor.close());
  return reactor;
}

class Echo implements Receiver {
  readonly #connection: Connection;
  constructor(connection: Connection) {
    this.#connection = connection;
  }
  creditBytes(): number {
    return this.#connection.writableBytes();
  }
  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.#connection.write(bytes, offset, length);
  }
  onEnd(): void {
    this.#connection.end();
  }
  onWritable(): void {
    this.#connection.resume();
  }
  onClose(): void {}
}

/** Counts what comes back; `closed` resolves with the error or null. */
class Collector implements Receiver {
  text = '';
  readonly closed: Promise<AmbitError | null>;
  #close: (error: AmbitError | null) => void = () => {};
  #waiting: (() => void) | null = null;
  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }
  creditBytes(): number {
    return 65_536;
  }
  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.text += Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1');
    this.#waiting?.();
  }
  onEnd(): void {}
  onWritable(): void {}
  onClose(error: AmbitError | null): void {
    this.#close(error);
  }
  async until(text: string): Promise<void> {
    while (!this.text.endsWith(text)) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }
}

function connect(reactor: Reactor, port: number, receiver: Receiver, tls?: TlsContext): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const options = { ip: LOOPBACK, port, ...(tls === undefined ? {} : { tls }) };
    reactor.connect(options, {
      onOpen(connection) {
        connection.receive(receiver);
        resolve(connection);
      },
      onFail: reject,
    });
  });
}

async function tlsEcho(reactor: Reactor, handshakeTimeoutMs = 10_000) {
  const server = reactor.tlsContext(await materialFor(SERVER_IDENTITY));
  const client = reactor.tlsContext(await materialFor(CLIENT_IDENTITY));
  const listener = reactor.listen({ ip: LOOPBACK, port: 0, tls: server, handshakeTimeoutMs }, (connection) =>
    connection.receive(new Echo(connection)),
  );
  return { client, port: listener.address.port };
}

test('rule 1: garbage from one peer does not end the TLS connection of another', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor);
  const healthy = new Collector();
  const connection = await connect(reactor, port, healthy, client);
  for (let round = 0; round < 20; round += 1) {
    const bad = net.connect(port, LOOPBACK);
    bad.on('error', () => {});
    bad.end('this is no TLS at all, and OpenSSL queues an error for it\r\n\r\n');
    const word = Buffer.from(`still here ${round};`);
    connection.write(word, 0, word.length);
    await healthy.until(word.toString());
  }
  assert.ok(reactor.counters.handshakesFailed >= 19, 'the garbage was refused');
  connection.end();
  assert.equal(await healthy.closed, null);
});

test('rule 4: a receiver that throws loses its own connection and nothing else', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor);
  const healthy = new Collector();
  const connection = await connect(reactor, port, healthy, client);
  class Thrower extends Collector {
    override onData(): void {
      throw new Error('on purpose');
    }
  }
  const thrower = new Thrower();
  const word = Buffer.from('word');
  (await connect(reactor, port, thrower, client)).write(word, 0, 4);
  assert.equal((await thrower.closed)?.code, 'HANDLER_FAULT');
  assert.equal(reactor.counters.handlerFaults, 1);
  connection.write(word, 0, 4);
  await healthy.until('word');
});

test('rule 5: a child process gets none of the descriptors of the reactor', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor);
  await connect(reactor, port, new Collector(), client);
  const listing =
    'require("fs").readdirSync("/proc/self/fd").map(n=>{try{return require("fs").readlinkSync("/proc/self/fd/"+n)}catch{return ""}}).join("\\n")';
  const child = spawnSync(process.execPath, ['-p', listing], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const own = new Set(openDescriptors().filter((name) => name.startsWith('socket:')));
  assert.ok(own.size >= 3, 'listener and both ends are open here');
  const inherited = child.stdout.split('\n').filter((name) => own.has(name));
  assert.deepEqual(inherited, []);
});

test('rule 7: without descriptors accepting pauses, and goes on when there are some again', async (t) => {
  const reactor = reactorFor(t);
  const listener = reactor.listen({ ip: LOOPBACK, port: 0 }, (connection) => connection.receive(new Echo(connection)));
  const client = openSocket({ family: 4, type: 'stream' });
  const limit = Region.map(16);
  libc.prlimit(0, RLIMIT_NOFILE, 0, limit.at(0, 16));
  const soft = limit.view.getBigUint64(0, true);
  const hoard: number[] = [];
  try {
    limit.view.setBigUint64(0, BigInt(openDescriptors().length), true);
    libc.prlimit(0, RLIMIT_NOFILE, limit.at(0, 16), 0);
    assert.throws(() => {
      for (;;) hoard.push(eventfd());
    }, /EMFILE/);
    assert.equal(connectSocket(client, LOOPBACK, listener.address.port), 0);
    await new Promise((resolve) => setTimeout(resolve, 120));
    assert.ok(reactor.counters.acceptPauses >= 1, 'accepting paused');
  } finally {
    limit.view.setBigUint64(0, soft, true);
    libc.prlimit(0, RLIMIT_NOFILE, limit.at(0, 16), 0);
    for (const fd of hoard) closeDescriptor(fd);
  }
  await new Promise((resolve) => setTimeout(resolve, 120));
  assert.equal(reactor.counters.accepted, 1);
  closeDescriptor(client);
});

test('rule 8: an event of a closed connection does not reach the one that got its slot', async (t) => {
  const reactor = reactorFor(t);
  const listener = reactor.listen({ ip: LOOPBACK, port: 0 }, (connection) => connection.receive(new Echo(connection)));
  const { aborted } = await import('../errors.ts');
  const word = Buffer.from('x');
  for (let round = 0; round < 50; round += 1) {
    const first = new Collector();
    const doomed = await connect(reactor, listener.address.port, first);
    doomed.write(word, 0, 1);
    doomed.abort(aborted('the test lets go'));
    const second = new Collector();
    const successor = await connect(reactor, listener.address.port, second);
    successor.write(word, 0, 1);
    await second.until('x');
    assert.equal(first.text, '');
    successor.end();
    assert.equal(await second.closed, null);
  }
});

test('rule 9: a stalled handshake ends by its deadline, and costs nobody anything', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor, 300);
  const stalled = Array.from({ length: 50 }, () => net.connect(port, LOOPBACK));
  const ended = Promise.all(
    stalled.map((socket) => new Promise((resolve) => socket.on('error', () => {}).once('close', resolve))),
  );
  for (const socket of stalled) socket.write(Buffer.from([0x16]));
  const healthy = new Collector();
  const word = Buffer.from('served');
  (await connect(reactor, port, healthy, client)).write(word, 0, word.length);
  await healthy.until('served');
  await ended;
  assert.equal(reactor.counters.handshakesFailed, 50);
});

test('rule 9: 100 handshakes at once leave others their turns', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor);
  const healthy = new Collector();
  const connection = await connect(reactor, port, healthy, client);
  let storm = 100;
  const all = Promise.all(
    Array.from({ length: 100 }, () => connect(reactor, port, new Collector(), client).then(() => storm--)),
  );
  let served = 0;
  let longestMs = 0;
  const word = Buffer.from('tick');
  while (storm > 0) {
    const start = performance.now();
    connection.write(word, 0, 4);
    healthy.text = '';
    await healthy.until('tick');
    longestMs = Math.max(longestMs, performance.now() - start);
    if (storm > 0) served += 1;
  }
  await all;
  t.diagnostic(
    `${served} replies during 100 handshakes (both ends here), the slowest after ${longestMs.toFixed(1)} ms`,
  );
  // 100 handshakes are at least 300 steps of both sides; at most two a turn, and a reply takes two turns.
  assert.ok(served >= 20, `${served} replies came between them`);
});

test('rule 10: memory for bytes and connections is given back', async (t) => {
  const reactor = reactorFor(t);
  const { client, port } = await tlsEcho(reactor);
  const rssMb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  const burst = async () => {
    const connections = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const collector = new Collector();
        return { connection: await connect(reactor, port, collector, client), collector };
      }),
    );
    for (const { connection } of connections) {
      const big = Buffer.alloc(1 << 20, 1);
      connection.write(big, 0, big.length);
    }
    for (const { connection, collector } of connections) {
      connection.end();
      await collector.closed;
    }
  };
  await burst();
  await new Promise((resolve) => setTimeout(resolve, 2200));
  const before = rssMb();
  for (let round = 0; round < 3; round += 1) await burst();
  await new Promise((resolve) => setTimeout(resolve, 2200));
  const after = rssMb();
  assert.equal(reactor.counters.connections, 0);
  assert.equal(reactor.counters.queuedBytes, 0);
  assert.ok(after < before + 120, `${before.toFixed(0)} MB became ${after.toFixed(0)} MB`);
});

function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
}
