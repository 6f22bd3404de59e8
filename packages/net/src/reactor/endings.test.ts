/** How connections end on a real kernel: what was on its way must neither be lost nor turn up elsewhere. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import {
  acceptSocket,
  bindSocket,
  closeDescriptor,
  listenSocket,
  localAddress,
  openSocket,
  setLingerReset,
  shutdownWrite,
} from '@ambit/platform/socket';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '@ambit/testkit/authority';
import type { Connection, Receiver, TlsContext } from '../engine.ts';
import { aborted } from '../errors.ts';
import { createReactor, type Reactor } from './index.ts';
import type { TlsConnection } from './tls-connection.ts';

const LOOPBACK = '127.0.0.1';
/** More than a connection's own write buffer holds, so that it borrows one. */
const LARGE_BYTES = 100_000;
const large = new Uint8Array(LARGE_BYTES).fill(0x61);
const scratch = Region.map(4096);

class Reader implements Receiver {
  received = 0;
  ended = false;
  closed: AmbitError | null | undefined = undefined;
  creditBytes(): number {
    return 1_000_000;
  }
  onData(_bytes: Uint8Array, _offset: number, length: number): void {
    this.received += length;
  }
  onEnd(): void {
    this.ended = true;
  }
  onWritable(): void {}
  onClose(error: AmbitError | null): void {
    this.closed = error;
  }
}

function reactorFor(t: TestContext): Reactor {
  const reactor = createReactor();
  t.after(() => reactor.close());
  return reactor;
}

async function until(done: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5000;
  while (!done()) {
    assert.ok(performance.now() < deadlineMs, 'it comes in time');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function dial(reactor: Reactor, port: number, receiver: Receiver, tls?: TlsContext): Promise<Connection> {
  return new Promise((onOpen, onFail) => {
    const options = { ip: LOOPBACK, port, ...(tls === undefined ? {} : { tls }) };
    reactor.connect(options, {
      onOpen(connection) {
        connection.receive(receiver);
        onOpen(connection);
      },
      onFail,
    });
  });
}

/** A connection whose other end is a bare descriptor: what happens there happens in one go, between two turns. */
async function withRawPeer(
  t: TestContext,
  run: (connection: Connection, reader: Reader, peerFd: number) => Promise<void>,
): Promise<void> {
  const reactor = reactorFor(t);
  const listening = openSocket({ family: 4, type: 'stream' });
  t.after(() => closeDescriptor(listening));
  bindSocket(listening, LOOPBACK, 0);
  listenSocket(listening, 1);
  const reader = new Reader();
  const connection = await dial(reactor, localAddress(listening).port, reader);
  await run(connection, reader, acceptSocket(listening));
}

/** As a server does that answers early and closes without having read everything. */
function answerAndReset(fd: number, bytes: number): void {
  assert.equal(libc.write(fd, scratch.at(0, bytes), bytes), bytes);
  setLingerReset(fd);
  closeDescriptor(fd);
}

test('what a peer sent before it reset the connection is delivered before the reset is told', async (t) => {
  await withRawPeer(t, async (_connection, reader, peerFd) => {
    answerAndReset(peerFd, 1000);
    await until(() => reader.closed !== undefined);
    assert.deepEqual([reader.received, reader.ended, reader.closed?.code], [1000, false, 'CONNECTION_RESET']);
  });
});

test('it is delivered also when a write is what meets the reset, and a reset never looks like an end', async (t) => {
  await withRawPeer(t, async (connection, reader, peerFd) => {
    answerAndReset(peerFd, 1000);
    connection.write(large, 0, large.length);
    await until(() => reader.closed !== undefined);
    assert.deepEqual([reader.received, reader.ended, reader.closed?.code], [1000, false, 'CONNECTION_RESET']);
  });
});

for (const writes of [false, true]) {
  const how = writes ? 'as a write finds out' : 'as epoll tells';
  test(`an end that came before the reset, ${how}, is told before it`, async (t) => {
    await withRawPeer(t, async (connection, reader, peerFd) => {
      connection.write(large, 0, 10); // closing with bytes unread is what resets
      assert.equal(libc.write(peerFd, scratch.at(0, 1000), 1000), 1000);
      shutdownWrite(peerFd);
      closeDescriptor(peerFd);
      if (writes) connection.write(large, 0, large.length);
      await until(() => reader.closed !== undefined);
      assert.deepEqual([reader.received, reader.ended, reader.closed?.code], [1000, true, 'CONNECTION_RESET']);
    });
  });
}

test('a reset is told at once to who gives no credit', async (t) => {
  await withRawPeer(t, async (connection, reader, peerFd) => {
    reader.creditBytes = () => 0;
    libc.write(peerFd, scratch.at(0, 10), 10);
    await new Promise((resolve) => setTimeout(resolve, 20));
    answerAndReset(peerFd, 10);
    connection.write(large, 0, large.length);
    await until(() => reader.closed !== undefined);
    assert.deepEqual([reader.received, reader.closed?.code], [0, 'CONNECTION_RESET']);
  });
});

test('records that came before a reset are read before it is told', async (t) => {
  const reactor = reactorFor(t);
  const tls = reactor.tlsContext(await materialFor(SERVER_IDENTITY));
  const client = reactor.tlsContext(await materialFor(CLIENT_IDENTITY));
  const reader = new Reader();
  const listener = reactor.listen({ ip: LOOPBACK, port: 0, tls }, (connection) => connection.receive(reader));
  const connection = await dial(reactor, listener.address.port, new Reader(), client);
  connection.write(large, 0, 10);
  await until(() => reader.received === 10);
  connection.write(large, 0, 1000);
  (connection as TlsConnection).onFlush();
  connection.abort(aborted('the test lets go, with everything sent'));
  await until(() => reader.closed !== undefined);
  assert.deepEqual([reader.received, reader.closed?.code], [1010, 'CONNECTION_RESET']);
});

test('a write buffer that goes back to the pool holds nothing of the connection that had it', async (t) => {
  const reactor = reactorFor(t);
  const server = reactor.tlsContext(await materialFor(SERVER_IDENTITY));
  const client = reactor.tlsContext(await materialFor(CLIENT_IDENTITY));
  const readers: Reader[] = [];
  const listener = reactor.listen({ ip: LOOPBACK, port: 0, tls: server }, (connection) => {
    const reader = new Reader();
    readers.push(reader);
    connection.receive(reader);
  });
  const { port } = listener.address;
  const first = await dial(reactor, port, new Reader(), client);
  const second = await dial(reactor, port, new Reader(), client);
  first.write(large, 0, large.length);
  await until(() => readers[0]?.received === LARGE_BYTES);
  first.end();
  first.abort(aborted('the test lets go, with the close_notify sealed and not sent'));
  second.write(large, 0, large.length);
  await until(() => readers[1]?.received === LARGE_BYTES || readers[1]?.closed !== undefined);
  assert.deepEqual([readers[1]?.received, readers[1]?.closed], [LARGE_BYTES, undefined]);
});

test('a TLS context that was replaced and released serves the dials and listeners that still have it', async (t) => {
  const reactor = reactorFor(t);
  const server = reactor.tlsContext(await materialFor(SERVER_IDENTITY));
  const client = reactor.tlsContext(await materialFor(CLIENT_IDENTITY));
  const listener = reactor.listen({ ip: LOOPBACK, port: 0, tls: server }, (connection) =>
    connection.receive(new Reader()),
  );
  const dialling = dial(reactor, listener.address.port, new Reader(), client);
  server.release();
  client.release();
  await dialling;
  assert.equal(reactor.counters.handlerFaults, 0);
});
