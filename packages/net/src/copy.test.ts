import assert from 'node:assert/strict';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { type Rng, seededRng } from '@ambit/base/rng';
import { type CopyPair, type CopyResult, copy } from './copy.ts';
import type { Connection, Engine, EngineTimer, Receiver } from './engine.ts';
import { aborted } from './errors.ts';
import { MemoryNetwork, type MemoryNetworkOptions } from './memory/index.ts';

const PROXY = { ip: '10.0.0.1', port: 15001 };
const SERVER = { ip: '10.0.0.2', port: 80 };
const RUNS = 1000;

/** Sends a text as far as there is room, reads in portions of its own liking, ends when it likes. */
class Talker implements Receiver {
  received: number[] = [];
  ended = false;
  closed: AmbitError | null | undefined = undefined;
  sent = 0;
  budgetBytes: number;
  stream: Connection | null = null;
  readonly text: Uint8Array;
  readonly endAfterPeer: boolean;

  constructor(text: Uint8Array, endAfterPeer: boolean, budgetBytes: number) {
    this.text = text;
    this.endAfterPeer = endAfterPeer;
    this.budgetBytes = budgetBytes;
  }

  attach(stream: Connection): void {
    this.stream = stream;
    stream.receive(this);
    this.pump();
  }

  pump(): void {
    const stream = this.stream!;
    const count = Math.min(stream.writableBytes(), this.text.length - this.sent);
    stream.write(this.text, this.sent, count);
    this.sent += count;
    if (this.sent === this.text.length && (!this.endAfterPeer || this.ended)) stream.end();
  }

  creditBytes(): number {
    return this.budgetBytes;
  }
  onData(bytes: Uint8Array, offset: number, length: number): void {
    for (let i = offset; i < offset + length; i++) this.received.push(bytes[i]!);
  }
  onEnd(): void {
    this.ended = true;
    this.pump();
  }
  onWritable(): void {
    this.pump();
  }
  onClose(error: AmbitError | null): void {
    this.closed = error;
  }
}

interface Scene {
  readonly network: MemoryNetwork;
  readonly proxy: Engine;
  readonly client: Talker;
  readonly server: Talker;
  readonly results: CopyResult[];
  pair: CopyPair | null;
}

/** client -> proxy (copy) -> server, on one network. */
function scene(options: MemoryNetworkOptions, client: Talker, server: Talker): Scene {
  const network = new MemoryNetwork(options);
  const proxy = network.engine('proxy');
  const made: Scene = { network, proxy, client, server, results: [], pair: null };
  network.engine('server').listen(SERVER, (connection) => server.attach(connection));
  proxy.listen(PROXY, (inbound) => {
    const waiting = new Waiting();
    inbound.receive(waiting);
    waiting.dial = proxy.connect(SERVER, {
      onOpen: (upstream) => {
        made.pair = copy(inbound, upstream, { onDone: (result) => made.results.push(result) });
        if (waiting.ended) upstream.end();
      },
      onFail: (error) => inbound.abort(error),
    });
  });
  network.engine('client').connect(PROXY, {
    onOpen: (connection) => client.attach(connection),
    onFail: (error) => {
      throw error;
    },
  });
  return made;
}

/** Takes nothing until the upstream is there, and gives it up when the client has gone. */
class Waiting implements Receiver {
  dial: EngineTimer | null = null;
  ended = false;
  creditBytes(): number {
    return 0;
  }
  onData(): void {
    assert.fail('no data without credit');
  }
  onEnd(): void {
    this.ended = true;
  }
  onWritable(): void {}
  onClose(): void {
    this.dial!.cancel();
  }
}

function talker(rng: Rng, endAfterPeer: boolean): Talker {
  const length = rng.integer(4) === 0 ? rng.integer(20) : rng.integer(5000);
  return new Talker(rng.bytes(length), endAfterPeer, 1 + rng.integer(2000));
}

/** Links and queues smaller than the texts, some of a few bytes, so that every run comes to its limits. */
function tight(rng: Rng, seed: number): MemoryNetworkOptions {
  const most = rng.integer(8) === 0 ? 20 : 2000;
  return { seed, linkBytes: 10 + rng.integer(most), queueBytes: 10 + rng.integer(most) };
}

test('whatever the pieces and delays, both texts arrive whole and both sides close cleanly', () => {
  for (let seed = 0; seed < RUNS; seed++) {
    const rng = seededRng(seed);
    const order = rng.integer(3);
    const s = scene(tight(rng, seed), talker(rng, order === 1), talker(rng, order === 2));
    s.network.run();
    const context = `seed ${seed}`;
    assert.deepEqual(s.server.received, [...s.client.text], context);
    assert.deepEqual(s.client.received, [...s.server.text], context);
    assert.deepEqual([s.client.closed, s.server.closed], [null, null], context);
    assert.equal(s.results.length, 1, context);
    const { receivedBytes, sentBytes, error } = s.results[0]!;
    assert.deepEqual([receivedBytes, sentBytes, error], [s.client.text.length, s.server.text.length, null], context);
    assertNothingLeft(s, context);
  }
});

test('whatever breaks, what arrived is a beginning of the text, nobody hears of a clean end, and it is done once', () => {
  let broken = 0;
  for (let seed = 0; seed < RUNS; seed++) {
    const rng = seededRng(seed);
    const order = rng.integer(3);
    const options = { ...tight(rng, seed), resetRate: 0.05 };
    const s = scene(options, talker(rng, order === 1), talker(rng, order === 2));
    s.network.run();
    const context = `seed ${seed}`;
    assert.deepEqual(s.server.received, [...s.client.text.subarray(0, s.server.received.length)], context);
    assert.deepEqual(s.client.received, [...s.server.text.subarray(0, s.client.received.length)], context);
    if (s.server.ended) assert.equal(s.server.received.length, s.client.text.length, context);
    if (s.client.ended) assert.equal(s.client.received.length, s.server.text.length, context);
    assert.notEqual(s.client.closed, undefined, context);
    assert.equal(s.results.length, s.pair === null ? 0 : 1, context);
    if (s.pair?.error) broken += 1;
    assertNothingLeft(s, context);
  }
  assert.ok(broken > RUNS / 4, `${broken} of ${RUNS} broke`);
});

test('a server that does not read stops the client at bounded memory', () => {
  const client = new Talker(new Uint8Array(1_000_000), false, 1);
  const server = new Talker(new Uint8Array(0), true, 0);
  const s = scene({ seed: 1, linkBytes: 5000, queueBytes: 3000 }, client, server);
  s.network.run();
  // Two links, and the queues of the client and of the proxy.
  assert.ok(client.sent <= 2 * 5000 + 2 * 3000, `${client.sent} bytes were taken`);
  assert.ok(s.proxy.counters.queuedBytes <= 3000);
  server.budgetBytes = 10_000;
  server.stream!.resume();
  s.network.run();
  assert.equal(server.received.length, 1_000_000);
  assert.deepEqual([client.closed, server.closed], [null, null]);
});

test('one direction goes on for as long as it likes after the other has ended', () => {
  const client = new Talker(new Uint8Array(10), false, 1000);
  const server = new Talker(new Uint8Array(50_000), true, 1000);
  const s = scene({ seed: 1 }, client, server);
  s.network.run();
  assert.equal(client.received.length, 50_000);
  assert.equal(s.results.length, 1);
});

test('a server that ended and then resets cuts nothing short for a slow client', () => {
  const client = new Talker(new Uint8Array(10), true, 0);
  const server = new Talker(new Uint8Array(50_000), false, 1000);
  const s = scene({ seed: 1, linkBytes: 10_000, queueBytes: 100_000 }, client, server);
  s.network.run();
  server.stream!.abort(aborted('it has closed, and is still sent to'));
  s.network.run();
  assert.equal(client.closed, undefined);
  client.budgetBytes = 1000;
  client.stream!.resume();
  s.network.run();
  assert.deepEqual([client.received.length, client.ended, client.closed], [50_000, true, null]);
  assert.equal(s.results[0]!.error?.code, 'CONNECTION_RESET');
  assertNothingLeft(s, 'after all');
});

test('giving a copy up resets both sides and reports the reason once', () => {
  const client = new Talker(new Uint8Array(100_000), false, 1000);
  const server = new Talker(new Uint8Array(0), true, 0);
  const s = scene({ seed: 1 }, client, server);
  s.network.run(50);
  const reason = aborted('a policy changed');
  s.pair!.abort(reason);
  s.pair!.abort(aborted('again'));
  s.network.run();
  assert.equal(s.results.length, 1);
  assert.equal(s.results[0]!.error, reason);
  assert.deepEqual([client.closed?.code, server.closed?.code], ['CONNECTION_RESET', 'CONNECTION_RESET']);
});

test('counts can be read while the copy runs', () => {
  const s = scene({ seed: 1 }, new Talker(new Uint8Array(500), true, 0), new Talker(new Uint8Array(7), true, 1000));
  s.network.run();
  assert.deepEqual([s.pair!.receivedBytes, s.pair!.sentBytes, s.results.length], [500, 7, 0]);
});

function assertNothingLeft(s: Scene, context: string): void {
  const { connections, queuedBytes, handlerFaults } = s.proxy.counters;
  assert.deepEqual([connections, queuedBytes, handlerFaults], [0, 0, 0], context);
}
