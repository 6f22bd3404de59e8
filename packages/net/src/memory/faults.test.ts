import assert from 'node:assert/strict';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { seededRng } from '@ambit/base/rng';
import { materialFor, SERVER_IDENTITY } from '@ambit/testkit/authority';
import type { Connection, Receiver } from '../engine.ts';
import { aborted } from '../errors.ts';
import { MemoryNetwork, type MemoryNetworkOptions } from './network.ts';

const SERVER = { ip: '10.0.0.2', port: 80 };

class Sink implements Receiver {
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

/** A few connections that send and end both ways; returns each event as a line. */
function traceOf(options: MemoryNetworkOptions): string[] {
  const lines: string[] = [];
  const network = new MemoryNetwork({ ...options, trace: (line) => lines.push(line) });
  const server = network.engine('server');
  const client = network.engine('client');
  const use = (connection: Connection): void => {
    connection.receive(new Sink());
    connection.write(new Uint8Array(200_000), 0, 200_000);
    connection.end();
  };
  server.listen(SERVER, use);
  for (let i = 0; i < 4; i++) client.connect(SERVER, { onOpen: use, onFail: () => lines.push('fail') });
  network.run();
  return lines;
}

test('the same seed gives the same events in the same order, another seed others', () => {
  const options = { seed: 7, resetRate: 0.01 };
  const first = traceOf(options);
  assert.ok(first.length > 100);
  assert.deepEqual(traceOf(options), first);
  assert.notDeepEqual(traceOf({ ...options, seed: 8 }), first);
});

test('without pieces a transfer takes few events, with them it is cut in its smallest places', () => {
  assert.ok(traceOf({ seed: 7, pieces: false }).length < traceOf({ seed: 7 }).length / 3);
  assert.ok(traceOf({ seed: 7 }).some((line) => / read [1-9]$/.test(line)));
});

test('resets happen at about their rate and both ends see them', () => {
  const lines = Array.from({ length: 50 }, (_, seed) => traceOf({ seed, resetRate: 0.02 })).flat();
  const resets = lines.filter((line) => line.endsWith('close CONNECTION_RESET'));
  const clean = lines.filter((line) => line.endsWith('close cleanly'));
  assert.ok(resets.length > 20 && clean.length > 20, `${resets.length} resets, ${clean.length} clean`);
  assert.equal(resets.length + clean.length, 50 * 4 * 2);
});

test('a kept view shows garbage after the call', () => {
  const network = new MemoryNetwork({ seed: 1 });
  const kept: Uint8Array[] = [];
  const sink = new Sink();
  sink.onData = (bytes, offset, length) => {
    kept.push(bytes.subarray(offset, offset + length));
    assert.ok(kept.at(-1)!.every((byte) => byte === 0x61));
  };
  connect(network, (connection) => connection.receive(sink)).write(new Uint8Array(1000).fill(0x61), 0, 1000);
  network.run();
  assert.ok(kept.length > 0);
  for (const view of kept) assert.ok(!view.includes(0x61));
});

test('a receiver that writes in front of its headroom is found out', () => {
  const network = new MemoryNetwork({ seed: 1 });
  const sink = new Sink();
  sink.onData = (bytes, offset) => {
    bytes[offset - 17] = 0;
  };
  connect(network, (connection) => connection.receive(sink)).write(new Uint8Array(10), 0, 10);
  assert.throws(() => network.run(), /headroom/);
});

test('without descriptors accepting pauses, and goes on when one is free', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const server = network.engine('server', { descriptorsMax: 2 });
  const accepted: Connection[] = [];
  server.listen(SERVER, (connection) => {
    connection.receive(new Sink());
    accepted.push(connection);
  });
  const client = network.engine('client');
  let opened = 0;
  const onOpen = (connection: Connection): void => {
    connection.receive(new Sink());
    opened += 1;
  };
  for (let i = 0; i < 5; i++) client.connect(SERVER, { onOpen, onFail: () => assert.fail() });
  network.run(1000);
  assert.deepEqual([opened, accepted.length, server.counters.acceptPauses], [5, 2, 1]);
  accepted[0]!.abort(aborted('made room'));
  network.run(2000);
  assert.equal(accepted.length, 3);
  for (let i = 1; i < 5; i++) {
    accepted[i]!.abort(aborted('made room'));
    network.run();
  }
  assert.deepEqual([accepted.length, server.counters.connections], [5, 0]);
});

test('what waits unaccepted is reset when its listener closes, and a full backlog refuses', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const server = network.engine('server', { descriptorsMax: 0 });
  const listener = server.listen(SERVER, () => assert.fail('nothing is accepted'));
  const client = network.engine('client');
  const sinks: Sink[] = [];
  const refused: string[] = [];
  const onOpen = (connection: Connection): void => {
    const sink = new Sink();
    sinks.push(sink);
    connection.receive(sink);
  };
  const onFail = (error: AmbitError): void => {
    refused.push(error.code);
  };
  for (let i = 0; i < 520; i++) client.connect(SERVER, { onOpen, onFail });
  network.run(1000);
  assert.deepEqual([sinks.length, refused.length, refused[0]], [511, 9, 'CONNECT_REFUSED']);
  listener.close();
  network.run();
  assert.ok(sinks.every((sink) => sink.closed?.code === 'CONNECTION_RESET'));
});

test('an engine without descriptors fails its connects with EMFILE', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const client = network.engine('client', { descriptorsMax: 0 });
  let failed: AmbitError | null = null;
  client.connect(SERVER, { onOpen: () => assert.fail(), onFail: (error) => (failed = error) });
  network.run();
  assert.match(String(failed), /EMFILE/);
  assert.equal(client.counters.acceptPauses, 0);
});

test('ports can be refused and made silent, and be restored', () => {
  const network = new MemoryNetwork({ seed: 3 });
  network.engine('server').listen(SERVER, (connection) => connection.receive(new Sink()));
  const client = network.engine('client');
  const outcome = (): string => {
    let result = 'nothing';
    const onOpen = (connection: Connection): void => {
      connection.receive(new Sink());
      result = 'open';
    };
    const onFail = (error: AmbitError): void => {
      result = error.code;
    };
    client.connect({ ...SERVER, timeoutMs: 100 }, { onOpen, onFail });
    network.run();
    return result;
  };
  assert.equal(outcome(), 'open');
  network.refuse(SERVER.ip, SERVER.port);
  assert.equal(outcome(), 'CONNECT_REFUSED');
  network.restore(SERVER.ip, SERVER.port);
  network.drop(SERVER.ip, SERVER.port);
  assert.equal(outcome(), 'CONNECT_TIMEOUT');
  network.restore(SERVER.ip, SERVER.port);
  assert.equal(outcome(), 'open');
});

test('a redirected connect keeps its original destination', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const redirector = { ip: '10.0.0.1', port: 15001 };
  network.redirect(SERVER, redirector);
  let accepted: Connection | null = null;
  network.engine('proxy').listen(redirector, (connection) => {
    accepted = connection;
    connection.receive(new Sink());
  });
  const client = connectTo(network);
  network.run();
  const { local, originalDestination } = accepted as unknown as Connection;
  assert.deepEqual([local, originalDestination], [redirector, SERVER]);
  assert.deepEqual(client().remote, SERVER);
});

test('chosen connections break at both ends', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const sinks = [new Sink(), new Sink()];
  const connection = connect(network, (server) => server.receive(sinks[0]!));
  connection.receive(sinks[1]!);
  network.breakConnections((chosen) => chosen.local.port === SERVER.port);
  network.run();
  assert.deepEqual(
    sinks.map((sink) => sink.closed?.code),
    ['CONNECTION_RESET', 'CONNECTION_RESET'],
  );
});

test('a wildcard listener takes the addresses of its engine and no others', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const listen = (ip: string): void => {
    network.engine(ip, { ips: [ip] }).listen({ ip: '0.0.0.0', port: 15008 }, (c) => c.receive(new Sink()));
  };
  listen('10.0.0.1');
  listen('10.0.0.2');
  assert.throws(() => listen('10.0.0.2'), /EADDRINUSE/);
});

test('running stops at the given time, and settling fails when nothing more can happen', async () => {
  const network = new MemoryNetwork({ seed: 3 });
  const fired: number[] = [];
  const engine = network.engine('one');
  for (const delayMs of [10, 20, 30]) engine.after(delayMs, () => fired.push(network.schedule.nowMs));
  network.run(20);
  assert.deepEqual(fired, [10, 20]);
  assert.equal(engine.nowMs(), 20);
  await assert.rejects(
    network.settle(() => fired.length === 4, 1000),
    /not settled/,
  );
  assert.deepEqual(fired, [10, 20, 30]);
});

test('a finished handshake leaves no deadline behind', async () => {
  const network = new MemoryNetwork({ seed: 3 });
  const server = network.engine('server');
  const client = network.engine('client');
  const tls = server.tlsContext(await materialFor(SERVER_IDENTITY));
  server.listen({ ...SERVER, tls, handshakeTimeoutMs: 5000 }, (connection) => connection.receive(new Sink()));
  const onOpen = (connection: Connection): void => connection.receive(new Sink());
  client.connect({ ...SERVER, tls, timeoutMs: 5000 }, { onOpen, onFail: (error) => assert.fail(error) });
  network.run();
  assert.equal(server.counters.connections, 1);
  assert.ok(network.schedule.nowMs < 1000);
});

test('many timers fire in order', () => {
  const network = new MemoryNetwork({ seed: 3 });
  const engine = network.engine('one');
  const rng = seededRng(5);
  const fired: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const timer = engine.after(rng.integer(100), () => fired.push(network.schedule.nowMs));
    if (i % 3 === 0) timer.cancel();
  }
  network.run();
  assert.equal(fired.length, 666);
  assert.deepEqual(
    fired,
    fired.toSorted((a, b) => a - b),
  );
});

/** A client's connection to a listener on which `use` receives, after both are open. */
function connect(network: MemoryNetwork, use: (connection: Connection) => void): Connection {
  network.engine('server').listen(SERVER, use);
  const client = connectTo(network);
  network.run();
  return client();
}

function connectTo(network: MemoryNetwork): () => Connection {
  let client: Connection | null = null;
  const onOpen = (connection: Connection): void => {
    connection.receive(new Sink());
    client = connection;
  };
  network.engine('client').connect(SERVER, { onOpen, onFail: (error) => assert.fail(error) });
  return () => client as unknown as Connection;
}
