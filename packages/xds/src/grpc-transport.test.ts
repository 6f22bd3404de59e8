import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '@ambit/base/clock';
import { silentLog } from '@ambit/base/log';
import { type ControlPlaneOptions, callMetadata, openControlPlane } from '@ambit/identity/control-plane';
import { LocalAuthority } from '@ambit/identity/local-authority';
import { status } from '@grpc/grpc-js';
import { AdsServer } from './ads-server.fixture.ts';
import { addresses, authorizations, KeepingConsumer } from './consumer.fixture.ts';
import { DeltaClient } from './delta-client.ts';
import type { After } from './demands.ts';
import { GrpcTransport, type GrpcTransportDeps } from './grpc-transport.ts';
import { CONNECT_TIMEOUT_MS, DEMAND_TIMEOUT_MS, DEMANDS_PENDING_MAX, XDS_RESPONSE_MAX_BYTES } from './limits.ts';
import { ztunnelNode } from './node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './resource.ts';

const node = ztunnelNode({ podName: 'zt', podNamespace: 'sys', nodeName: 'n' });

/** Delays that were asked for, each cut to nothing but for those that are to be held. */
class QuickTimers {
  readonly delaysMs: number[] = [];
  readonly #held: number[];

  constructor(...held: number[]) {
    this.#held = held;
  }

  readonly after: After = (delayMs, callback) => {
    this.delaysMs.push(delayMs);
    const timer = setTimeout(callback, this.#held.includes(delayMs) ? 60_000 : Math.min(delayMs, 5));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  };
}

interface World {
  readonly server: AdsServer;
  readonly transport: GrpcTransport;
  readonly consumer: KeepingConsumer;
  readonly timers: QuickTimers;
  readonly ready: Promise<void>;
  readonly rootPath: string;
}

interface WorldOptions {
  readonly onDemand?: boolean;
  readonly timers?: QuickTimers;
  readonly deps?: Partial<GrpcTransportDeps>;
  readonly options?: Partial<ControlPlaneOptions>;
}

async function withWorld(
  { onDemand = false, timers = new QuickTimers(CONNECT_TIMEOUT_MS, DEMAND_TIMEOUT_MS), deps, options }: WorldOptions,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-xds-'));
  const server = await AdsServer.start();
  const rootPath = join(folder, 'root.pem');
  writeFileSync(rootPath, server.authority.rootsPem);
  const controlPlane: ControlPlaneOptions = {
    address: `https://localhost:${server.port}`,
    roots: { is: 'file', path: rootPath },
    token: { is: 'literal', token: 'secret' },
    clusterId: 'c1',
    headers: { 'x-tenant': 'blue' },
    receiveMaxBytes: XDS_RESPONSE_MAX_BYTES,
    ...options,
  };
  const consumer = new KeepingConsumer();
  const { promise: ready, resolve: onReady } = Promise.withResolvers<void>();
  const transport = new GrpcTransport({
    delta: new DeltaClient({ node, onDemand }, { consumer, log: silentLog }),
    connect: async () => ({
      client: await openControlPlane(controlPlane),
      metadata: await callMetadata(controlPlane),
    }),
    after: timers.after,
    clock: monotonicClock,
    log: silentLog,
    onReady,
    ...deps,
  });
  try {
    transport.start();
    await use({ server, transport, consumer, timers, ready, rootPath });
  } finally {
    await transport.close();
    server.stop();
    rmSync(folder, { recursive: true });
  }
}

/** Polls what another side does on its own; the test's own deadline bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

describe('over gRPC and TLS', () => {
  test('a session: headers, first requests, pushes, ACK, NACK, readiness, a restarted server, versions again', async () => {
    await withWorld({}, async ({ server, transport, consumer, ready }) => {
      const first = await server.received(2);
      assert.deepEqual(
        first.map(({ typeUrl }) => typeUrl),
        [ADDRESS_TYPE, AUTHORIZATION_TYPE],
      );
      assert.equal(first[0]?.node?.id, node.id);
      const sent = ['authorization', 'clusterid', 'x-tenant'].map((name) => server.headers[0]?.get(name)[0]);
      assert.deepEqual(sent, ['Bearer secret', 'c1', 'blue']);
      server.push(addresses('n1', [{ name: 'a', mark: '1', version: 'v1' }]));
      server.push(authorizations('n2', [{ name: 'p', mark: '1' }]));
      await ready;
      server.push(addresses('n3', [{ name: 'b', mark: '1', version: 'v1', quality: 'bad' }], ['a']));
      const [, , ack, , nack] = await server.received(5);
      assert.deepEqual([ack?.responseNonce, ack?.errorDetail], ['n1', undefined]);
      assert.deepEqual([nack?.responseNonce, nack?.errorDetail?.message], ['n3', 'b: bad namespace']);
      assert.deepEqual([[...consumer.addresses], [...consumer.authorizations]], [[], [['p', '1']]]);
      server.push(addresses('n4', [{ name: 'c', mark: '1', version: 'v4' }]));
      await server.received(6);
      server.stop();
      await until(() => !transport.isConnected);
      await server.listen();
      const again = (await server.received(8)).slice(6);
      assert.deepEqual(again[0]?.initialResourceVersions, { c: 'v4' });
      assert.deepEqual(again[1]?.initialResourceVersions, { p: '' });
      assert.ok(transport.counters.streamsOpened >= 2);
      assert.equal(transport.counters.nacks, 1);
    });
  });

  test('an acknowledgement waits for what has to be committed, and the next response for the acknowledgement', async () => {
    const commits: (() => void)[] = [];
    const committed = () => new Promise<void>((resolve) => commits.push(resolve));
    await withWorld({ deps: { committed } }, async ({ server, consumer }) => {
      await server.received(2);
      server.push(addresses('n1', [{ name: 'a', mark: '1' }]));
      server.push(addresses('n2', [{ name: 'a', mark: '2' }]));
      await until(() => commits.length === 1);
      await sleep(20);
      assert.equal(server.requests.length, 2);
      assert.equal(consumer.addresses.get('a'), '1');
      commits[0]?.();
      await until(() => commits.length === 2);
      assert.equal((await server.received(3))[2]?.responseNonce, 'n1');
      commits[1]?.();
      assert.equal((await server.received(4))[3]?.responseNonce, 'n2');
    });
  });

  test('on demand: who asks waits until the answer was taken, together with all who ask the same', async () => {
    await withWorld({ onDemand: true }, async ({ server, transport, consumer }) => {
      await server.received(2);
      const asked = [transport.demand('net/10.0.0.1'), transport.demand('net/10.0.0.1'), transport.demand('ns/none')];
      const requests = await server.received(4);
      assert.deepEqual(
        requests.slice(2).map(({ resourceNamesSubscribe }) => resourceNamesSubscribe),
        [['net/10.0.0.1'], ['ns/none']],
      );
      server.push(addresses('n1', [{ name: 'net/10.0.0.1', mark: '1' }], ['ns/none']));
      await Promise.all(asked);
      assert.equal(consumer.addresses.get('net/10.0.0.1'), '1');
    });
  });

  test('on demand: what is asked for without a stream goes out with the first request of the next', async () => {
    await withWorld({ onDemand: true }, async ({ server, transport }) => {
      await server.received(2);
      server.stop();
      await until(() => !transport.isConnected);
      const asked = transport.demand('a');
      await server.listen();
      await until(() => server.requests.some(({ initialResourceVersions }) => 'a' in initialResourceVersions));
      server.push(addresses('n1', [], ['a']));
      await asked;
    });
  });

  test('on demand: an answer that does not come, too many questions and the end are errors', async () => {
    await withWorld({ onDemand: true, timers: new QuickTimers(CONNECT_TIMEOUT_MS) }, async ({ transport }) => {
      await assert.rejects(transport.demand('a'), { code: 'XDS_DEMAND_TIMEOUT' });
    });
    await withWorld({ onDemand: true }, async ({ transport }) => {
      const asked = Array.from({ length: DEMANDS_PENDING_MAX }, (_, i) => transport.demand(`n${i}`));
      const ends = Promise.allSettled(asked);
      await assert.rejects(transport.demand('one more'), { code: 'XDS_DEMANDS_TOO_MANY' });
      await transport.close();
      assert.ok((await ends).every((end) => end.status === 'rejected' && end.reason.code === 'XDS_CLOSED'));
      await assert.rejects(transport.demand('late'), { code: 'XDS_CLOSED' });
    });
  });

  test('a message of more than 4 MiB passes, and one beyond the limit ends the stream', async () => {
    const mark = 'x'.repeat(1024 * 1024);
    const made = Array.from({ length: 6 }, (_, i) => ({ name: `n${i}`, mark }));
    await withWorld({}, async ({ server, consumer }) => {
      await server.received(2);
      server.push(addresses('n1', made));
      await server.received(3);
      assert.equal(consumer.addresses.size, 6);
    });
    await withWorld({ options: { receiveMaxBytes: 1024 * 1024 } }, async ({ server, consumer, transport }) => {
      await server.received(2);
      server.push(addresses('n1', made));
      await until(() => transport.counters.streamsFailed > 0);
      assert.equal(consumer.addresses.size, 0);
    });
  });
});

describe('a stream that ends', () => {
  test('is begun anew, later and later while it ends at once', async () => {
    const clock = { nowMs: () => 0 };
    await withWorld({ deps: { clock } }, async ({ server, timers, transport }) => {
      for (let i = 1; i <= 3; i += 1) {
        await server.received(2 * i);
        if (i === 1) server.end();
        else server.fail(status.UNAUTHENTICATED, 'token');
        await until(() => transport.counters.streamsOpened > i);
      }
      const delays = timers.delaysMs.filter((delayMs) => delayMs !== CONNECT_TIMEOUT_MS);
      assert.deepEqual(delays, [20, 40, 80]);
    });
  });

  test('for want of a trusted server or of a root file is a failure to connect, and the file is read anew each time', async () => {
    await withWorld({}, async ({ server, transport, rootPath }) => {
      await server.received(2);
      const other = await LocalAuthority.create({ nowMs: () => Date.now() });
      server.stop();
      await until(() => !transport.isConnected);
      await server.listen(other);
      const failed = transport.counters.streamsFailed;
      await until(() => transport.counters.streamsFailed > failed + 2);
      assert.equal(server.requests.length, 2);
      rmSync(rootPath);
      await until(() => transport.counters.streamsFailed > failed + 4);
      writeFileSync(rootPath, other.rootsPem);
      await server.received(4);
    });
  });

  test('because the consumer threw brings the same again', async () => {
    await withWorld({}, async ({ server, consumer, transport }) => {
      await server.received(2);
      const take = consumer.onAddresses.bind(consumer);
      consumer.onAddresses = () => {
        throw new Error('full');
      };
      server.push(addresses('n1', [{ name: 'a', mark: '1', version: 'v1' }]));
      const again = await server.received(4);
      assert.deepEqual(again[2]?.initialResourceVersions, {});
      consumer.onAddresses = take;
      server.push(addresses('n2', [{ name: 'a', mark: '1', version: 'v1' }]));
      await server.received(5);
      assert.equal(consumer.addresses.get('a'), '1');
      assert.equal(transport.counters.streamsFailed, 1);
    });
  });

  test('before it came up, because nobody answers the handshake, is given up at the deadline and leaves no socket', async () => {
    const sockets = new Set<Socket>();
    const mute = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as AddressInfo;
    try {
      const options = { address: `https://localhost:${port}`, handshakeTimeoutMs: 50 };
      await withWorld({ options, timers: new QuickTimers() }, async ({ transport }) => {
        await until(() => transport.counters.streamsFailed >= 2 && sockets.size > 0);
      });
      await until(() => sockets.size === 0);
    } finally {
      mute.close();
    }
  });
});
