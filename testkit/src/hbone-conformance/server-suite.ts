/** HBONE's server: drain, bounds, keepalive, and one connection's streams that must not harm each other (4.1, 3.9). */
import assert from 'node:assert/strict';
import { type CopyPair, type CopyResult, copy } from '@ambit/net/copy';
import type { Connection, Engine, Listener, Receiver, SocketAddress } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import type { ConnectResponder } from '@ambit/net/hbone';
import { HBONE_LIMITS } from '@ambit/net/limits';
import { RawClient } from './raw-peer.ts';
import {
  type MakeWorld,
  type Mesh,
  meshTests,
  type Sending,
  SHORT_LIMITS,
  Side,
  sentHash,
  type WithMesh,
} from './world.ts';

const MEGABYTE = 1024 * 1024;

export function serverSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  flowTests(withMesh);
  drainTests(withMesh);
  boundTests(withMesh);
  pathTests(withMesh);
}

function flowTests(withMesh: WithMesh): void {
  withMesh('a reader that stalls holds back its own stream only, and gets everything later', async (mesh) => {
    const bulk: Sending = { bytes: 6 * MEGABYTE, seed: 5, end: true };
    mesh.answer = (_, responder) => {
      const side = mesh.accept(responder, { bytes: 0, seed: 0, end: false, stalled: mesh.accepted.length === 0 });
      assert.equal(side.stalled, mesh.accepted.length === 1);
    };
    await mesh.tunnel(bulk);
    const stalled = mesh.accepted[0]!;
    await mesh.tunnel({ bytes: 2 * MEGABYTE, seed: 6, end: true });
    await mesh.world.until(() => mesh.accepted[1]?.ended === true);
    assert.equal(mesh.accepted[1]!.receivedBytes, 2 * MEGABYTE);
    assert.ok(stalled.receivedBytes > 0);
    assert.ok(stalled.receivedBytes <= HBONE_LIMITS.streamWindowInitialBytes, `${stalled.receivedBytes} bytes came`);
    assert.equal(mesh.pool.counters.dials, 1);
    stalled.flow();
    await mesh.world.until(() => stalled.ended);
    assert.deepEqual([stalled.receivedBytes, stalled.hash], [bulk.bytes, sentHash(bulk)]);
  });

  withMesh('a reader that stalls after keeping up pins one full window at the most', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const sending: Sending = { bytes: 24 * MEGABYTE, seed: 8, end: true };
    const client = await mesh.tunnel(sending);
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => server.receivedBytes > 8 * MEGABYTE);
    server.stalled = true;
    const before = server.receivedBytes;
    await mesh.world.pass(2000);
    assert.equal(client.allSent, false);
    assert.ok(server.receivedBytes - before <= HBONE_LIMITS.streamWindowMaxBytes);
    server.flow();
    await mesh.world.until(() => server.ended);
    assert.equal(server.hash, sentHash(sending));
  });

  withMesh('forty tunnels on one connection all finish', async (mesh) => {
    mesh.answer = (_, responder) => mesh.echo(responder);
    const sendings = Array.from({ length: 40 }, (_, i): Sending => ({ bytes: 50_000 + i * 1000, seed: i, end: true }));
    const sides = await Promise.all(sendings.map((sending) => mesh.tunnel(sending)));
    await mesh.world.until(() => sides.every((side) => side.closed));
    for (const [i, side] of sides.entries()) assert.deepEqual([side.error, side.hash], [null, sentHash(sendings[i]!)]);
    assert.equal(mesh.pool.counters.dials, 1);
  });
}

function drainTests(withMesh: WithMesh): void {
  withMesh('a draining server serves calls that are under way, then ends the connection', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const running = await mesh.tunnel();
    const underWay = mesh.open();
    let drained = false;
    mesh.server.drain(60_000, () => {
      drained = true;
    });
    await mesh.world.until(() => underWay.done);
    assert.ok(underWay.side !== null, 'sent before the client could know');
    await mesh.world.pass(100);
    const late = mesh.open();
    await mesh.world.until(() => late.done);
    assert.ok(late.error !== null, 'a new connection is turned away');
    assert.equal(drained, false);
    for (const side of [running, underWay.side, ...mesh.accepted]) side.stream.end();
    await mesh.world.until(() => drained && running.closed && mesh.pool.counters.connections === 0);
    assert.deepEqual([running.error, mesh.server.counters.connections], [null, 0]);
  });

  withMesh('at the deadline of a drain what still runs is cut, and looks cut', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const running = await mesh.tunnel();
    let drained = false;
    mesh.server.drain(200, () => {
      drained = true;
    });
    await mesh.world.until(() => drained && running.closed && mesh.accepted[0]!.closed);
    assert.equal(mesh.accepted[0]!.error?.code, 'HBONE_DRAINED');
    assert.equal(running.ended, false);
    assert.ok(running.error !== null);
  });

  withMesh('an idle server is drained at once', async (mesh) => {
    const client = await mesh.tunnel({ bytes: 1, seed: 1, end: true });
    await mesh.world.until(() => client.closed);
    let drained = false;
    mesh.server.drain(60_000, () => {
      drained = true;
    });
    await mesh.world.until(() => drained && mesh.pool.counters.connections === 0);
  });

  withMesh('a closed server cuts everything', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const client = await mesh.tunnel();
    mesh.server.close();
    assert.equal(mesh.server.counters.connections, 0);
    await mesh.world.until(() => client.closed && mesh.accepted[0]!.closed);
    assert.deepEqual([mesh.accepted[0]!.error?.code, client.ended], ['HBONE_DRAINED', false]);
  });
}

function boundTests(withMesh: WithMesh): void {
  withMesh(
    'a client that answers no PING is told GOAWAY and loses its connection',
    async (mesh) => {
      mesh.answer = (_, responder) => void mesh.accept(responder);
      const raw = await RawClient.connect(mesh);
      raw.connect('10.0.0.1:80');
      await mesh.world.until(() => mesh.accepted.length === 1);
      raw.deaf = true;
      await mesh.world.until(() => mesh.accepted[0]!.closed && raw.closed);
      assert.equal(mesh.accepted[0]!.error?.code, 'HBONE_KEEPALIVE');
      assert.deepEqual([mesh.server.counters.keepaliveTimeouts, mesh.server.counters.connections], [1, 0]);
      // Type GOAWAY, no flags, stream 0, last stream 1, NO_ERROR: the last frame.
      assert.deepEqual(raw.unheard.slice(-17), [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    },
    { limits: SHORT_LIMITS },
  );

  withMesh('a client may have 200 streams, and the next is refused unprocessed', async (mesh) => {
    mesh.answer = () => {};
    const raw = await RawClient.connect(mesh);
    for (let i = 0; i < 201; i++) raw.connect('10.0.0.1:80');
    await mesh.world.until(() => mesh.calls.length === 200 && raw.session.activeStreams === 200);
    assert.equal(raw.session.peerConcurrentStreamsMax, 200);
    assert.equal(mesh.calls.length, 200);
  });

  withMesh(
    'connections of one server are bounded',
    async (mesh) => {
      await mesh.tunnel();
      const second = mesh.open({ sourceIp: '10.9.9.9' });
      await mesh.world.until(() => second.done);
      assert.ok(second.error !== null);
      assert.deepEqual([mesh.server.counters.connectionsRefused, mesh.server.counters.connections], [1, 1]);
    },
    { limits: { ...HBONE_LIMITS, serverConnectionsMax: 1 } },
  );

  withMesh(
    'a client that resets its calls without end loses its connection, and no other client does',
    async (mesh) => {
      const steady = await mesh.tunnel();
      const raw = await RawClient.connect(mesh);
      for (let i = 0; i < 60 && !raw.session.goingAway; i++) {
        raw.connect('10.0.0.1:80').reset(8);
        await mesh.world.pass(2);
      }
      await mesh.world.until(() => raw.closed);
      assert.equal(raw.goaways, 1);
      assert.equal(steady.closed, false);
    },
    { limits: { ...HBONE_LIMITS, resetsPer10sMax: 50 } },
  );
}

/** Application, client proxy, HBONE, server proxy, application: what the roles build from these parts. */
function pathTests(withMesh: WithMesh): void {
  withMesh('plain connections joined by a tunnel carry bytes and half-closes end to end', async (mesh) => {
    const path = Path.open(mesh);
    const up: Sending = { bytes: 3 * MEGABYTE + 1, seed: 11, end: true };
    const down: Sending = { bytes: MEGABYTE + 5, seed: 12, end: true };
    const application = await path.connect(up);
    await mesh.world.until(() => path.upstreams.length === 1);
    const upstream = new Side(path.upstreams[0]!, down);
    await mesh.world.until(() => application.closed && upstream.closed && path.results.length === 2);
    assert.deepEqual([upstream.hash, application.hash], [sentHash(up), sentHash(down)]);
    assert.deepEqual([application.error, upstream.error], [null, null]);
    for (const result of path.results) {
      assert.deepEqual([result.receivedBytes, result.sentBytes, result.error], [up.bytes, down.bytes, null]);
    }
    path.close();
  });

  withMesh('an upstream that does not read stops the sender, with bounded memory in between', async (mesh) => {
    const path = Path.open(mesh);
    const application = await path.connect({ bytes: 40 * MEGABYTE, seed: 13, end: true });
    await mesh.world.until(() => path.upstreams.length === 1);
    const upstream = new Side(path.upstreams[0]!, { bytes: 0, seed: 0, end: false, stalled: true });
    await mesh.world.pass(3000);
    assert.equal(application.allSent, false);
    const held = path.clientProxyBytes - upstream.receivedBytes;
    assert.ok(held < 2 * HBONE_LIMITS.streamWindowMaxBytes + MEGABYTE, `${held} bytes on the way`);
    application.stream.abort(aborted('the application went away'));
    await mesh.world.until(() => upstream.closed && path.results.length === 2);
    assert.equal(upstream.ended, false);
    const { clientEngine, serverEngine } = mesh.world;
    await mesh.world.until(() => clientEngine.counters.queuedBytes + serverEngine.counters.queuedBytes === 0);
    path.close();
  });
}

class Path {
  readonly upstreams: Connection[] = [];
  readonly results: CopyResult[] = [];
  readonly #mesh: Mesh;
  readonly #entry: Listener;
  readonly #target: Listener;
  #clientCopy: CopyPair | null = null;

  private constructor(mesh: Mesh) {
    this.#mesh = mesh;
    const { clientEngine, serverEngine, clientIp, serverIp } = mesh.world;
    this.#target = serverEngine.listen({ ip: serverIp, port: 0 }, (connection) => {
      this.upstreams.push(connection);
      connection.receive(NOBODY);
    });
    mesh.answer = (_, responder) => this.#serve(responder);
    this.#entry = clientEngine.listen({ ip: clientIp, port: 0 }, (connection) => this.#forward(connection));
  }

  static open(mesh: Mesh): Path {
    return new Path(mesh);
  }

  get clientProxyBytes(): number {
    return this.#clientCopy?.receivedBytes ?? 0;
  }

  connect(sending: Sending): Promise<Side> {
    const { clientEngine, clientIp } = this.#mesh.world;
    return dialled(this.#mesh, clientEngine, { ip: clientIp, port: this.#entry.address.port }, sending);
  }

  close(): void {
    this.#entry.close();
    this.#target.close();
  }

  #forward(connection: Connection): void {
    connection.receive(NOBODY);
    this.#mesh.pool.openTunnel(this.#mesh.request(), {
      onOpen: (stream) => {
        this.#clientCopy = copy(connection, stream, { onDone: (result) => this.results.push(result) });
      },
      onFail: (error) => connection.abort(error),
    });
  }

  #serve(responder: ConnectResponder): void {
    const { serverEngine, serverIp } = this.#mesh.world;
    serverEngine.connect(
      { ip: serverIp, port: this.#target.address.port },
      {
        onOpen: (connection) => {
          copy(responder.accept([]), connection, { onDone: (result) => this.results.push(result) });
        },
        onFail: () => responder.refuse(503),
      },
    );
  }
}

async function dialled(mesh: Mesh, engine: Engine, to: SocketAddress, sending: Sending): Promise<Side> {
  const sides: Side[] = [];
  engine.connect(to, { onOpen: (connection) => sides.push(new Side(connection, sending)), onFail: assert.ifError });
  await mesh.world.until(() => sides.length === 1);
  return sides[0]!;
}

/** Holds a connection still until its real receiver is there. */
const NOBODY: Receiver = {
  creditBytes: () => 0,
  onData: () => {},
  onEnd: () => {},
  onWritable: () => {},
  onClose: () => {},
};
