/** HBONE's connection pool: what is shared, when a connection is left, and what a waiting call may count on (3.6). */
import assert from 'node:assert/strict';
import type { AmbitError } from '@ambit/base/errors';
import type { Receiver } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { HBONE_LIMITS, type HboneLimits } from '@ambit/net/limits';
import { Http2ErrorCode } from '@ambit/wire/http2';
import { CLIENT_IDENTITY, freshMaterialFor, SERVER_IDENTITY } from './authority.ts';
import { rawListener, rawServer } from './hbone-raw-peer.ts';
import { type MakeWorld, type Mesh, meshTests, type Opening, SHORT_LIMITS, type WithMesh } from './hbone-world.ts';

export function poolSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  sharingTests(withMesh);
  dialTests(withMesh);
  goawayTests(withMesh);
  timeTests(withMesh);
  boundTests(withMesh);
  drainTests(withMesh);
}

function sharingTests(withMesh: WithMesh): void {
  withMesh('tunnels with one key share one connection, one after another and at once', async (mesh) => {
    await mesh.tunnel();
    await mesh.tunnel();
    const openings = openMany(mesh, 20);
    await allDone(mesh, openings);
    assert.deepEqual([mesh.pool.counters.dials, mesh.pool.counters.asked, mesh.server.counters.accepted], [1, 22, 1]);
  });

  withMesh('a difference in any part of the key means another connection', async (mesh) => {
    const other = 'spiffe://cluster.local/ns/default/sa/other';
    const { port } = mesh.listener.address;
    const twin = mesh.listen(mesh.world.otherServerIp, port, mesh.serverTls);
    const second = mesh.listen(mesh.world.serverIp, 0, mesh.serverTls);
    const changes = [
      {},
      { sourceIdentity: other },
      { destinationIdentities: [SERVER_IDENTITY, other] },
      { destinationIdentities: [other, SERVER_IDENTITY] },
      { destinationIp: mesh.world.otherServerIp },
      { destinationPort: second.address.port },
      { sourceIp: '10.9.9.9' },
    ];
    for (let round = 0; round < 2; round++) for (const change of changes) await mesh.tunnel(undefined, change);
    assert.deepEqual([mesh.pool.counters.dials, mesh.server.counters.accepted], [changes.length, changes.length]);
    twin.close();
    second.close();
  });

  withMesh(
    'a connection that is full is left for good and ends with its last stream',
    async (mesh) => {
      mesh.answer = (_, responder) => void mesh.accept(responder);
      const openings = openMany(mesh, 10);
      await allDone(mesh, openings);
      assert.deepEqual([mesh.pool.counters.dials, mesh.pool.counters.retired], [2, 2]);
      // Room on a connection that was full once is not used again.
      openings[9]!.side!.stream.abort(failure());
      await mesh.world.until(() => openings[9]!.side!.closed);
      await allDone(mesh, openMany(mesh, 2));
      assert.deepEqual([mesh.pool.counters.dials, mostPerConnection(mesh)], [3, 5]);
      for (const { side } of openings.slice(0, 9)) side!.stream.abort(failure());
      await mesh.world.until(() => mesh.pool.counters.connections === 1 && mesh.server.counters.connections === 1);
    },
    { limits: { ...HBONE_LIMITS, clientStreamsMax: 5 } },
  );

  withMesh(
    "the peer's lower limit counts, also before its SETTINGS came",
    async (mesh) => {
      mesh.answer = (_, responder) => void mesh.accept(responder);
      const openings = openMany(mesh, 10);
      await allDone(mesh, openings);
      assert.ok(openings.every((opening) => opening.side !== null));
      assert.equal(mostPerConnection(mesh), 3);
      assert.equal(mesh.pool.counters.dials, 4);
      assert.equal(mesh.pool.counters.retried, 7, 'each that was refused once went to a later connection');
    },
    { serverLimits: { ...HBONE_LIMITS, serverStreamsMax: 3 } },
  );
}

function dialTests(withMesh: WithMesh): void {
  withMesh('fifty calls at once make one dial', async (mesh) => {
    const openings = openMany(mesh, 50);
    assert.equal(mesh.pool.counters.dialing, 1);
    assert.equal(mesh.pool.counters.waiting, 50);
    await allDone(mesh, openings);
    assert.ok(openings.every((opening) => opening.side !== null));
    assert.deepEqual([mesh.pool.counters.dials, mesh.pool.counters.waiting], [1, 0]);
  });

  withMesh('a failed dial fails the call it was made for, and wakes the next', async (mesh) => {
    const { port } = mesh.listener.address;
    mesh.listener.close();
    const openings = openMany(mesh, 3);
    const listening: { close(): void }[] = [];
    openings[0]!.onFailed = () => listening.push(mesh.listen(mesh.world.serverIp, port, mesh.serverTls));
    await allDone(mesh, openings);
    assert.equal(openings[0]!.error?.code, 'CONNECT_REFUSED');
    assert.ok(openings[1]!.side !== null && openings[2]!.side !== null);
    assert.deepEqual([mesh.pool.counters.dials, mesh.pool.counters.dialsFailed], [2, 1]);
    listening[0]!.close();
  });

  withMesh('when every dial fails every call fails, and nothing is left', async (mesh) => {
    mesh.listener.close();
    const openings = openMany(mesh, 5);
    await allDone(mesh, openings);
    assert.ok(openings.every((opening) => opening.error?.code === 'CONNECT_REFUSED'));
    const { dials, dialing, waiting, connections, tunnelsFailed } = mesh.pool.counters;
    assert.deepEqual([dials, dialing, waiting, connections, tunnelsFailed], [5, 0, 0, 0, 5]);
  });

  withMesh(
    'a wrong server fails all calls that wait for it with one dial',
    async (mesh) => {
      const openings = openMany(mesh, 5);
      await allDone(mesh, openings);
      assert.ok(openings.every((opening) => opening.error?.code === 'HBONE_SERVER_IDENTITY'));
      assert.equal(mesh.pool.counters.dials, 1);
    },
    { serverIdentity: 'spiffe://cluster.local/ns/default/sa/impostor' },
  );

  withMesh('a call that is cancelled while it waits gets no result, and the dial serves the others', async (mesh) => {
    const openings = openMany(mesh, 3);
    openings[0]!.handle?.cancel();
    await mesh.world.until(() => openings[1]!.done && openings[2]!.done);
    assert.deepEqual([openings[0]!.done, openings[1]!.error, openings[2]!.error], [false, null, null]);
    assert.deepEqual([mesh.pool.counters.dials, mesh.calls.length], [1, 2]);
  });

  withMesh(
    'new certificates are used by new dials while running tunnels go on',
    async (mesh) => {
      mesh.answer = (_, responder) => mesh.echo(responder);
      for (let generation = 0; generation < 4; generation++) {
        mesh.listener.useTls(mesh.world.serverEngine.tlsContext(await freshMaterialFor(SERVER_IDENTITY)));
        const tls = mesh.world.clientEngine.tlsContext(await freshMaterialFor(CLIENT_IDENTITY));
        const sending = { bytes: 200_000, seed: generation, end: true };
        const sides = await Promise.all([1, 2, 3].map(() => mesh.tunnel(sending, { tls })));
        await mesh.world.until(() => sides.every((side) => side.closed));
        for (const side of sides) assert.deepEqual([side.error, side.receivedBytes], [null, 200_000]);
      }
      assert.ok(mesh.leaves.length >= 4);
      assert.equal(new Set(mesh.leaves).size, 4, 'each generation showed its own leaf');
    },
    { limits: { ...HBONE_LIMITS, clientStreamsMax: 2 } },
  );
}

function goawayTests(withMesh: WithMesh): void {
  withMesh('after GOAWAY the next call dials anew, and running tunnels go on', async (mesh) => {
    const server = await rawServer(mesh, (peer, stream) => peer.answer(stream, '200', false));
    const first = await mesh.tunnel(undefined, server.address);
    server.peers[0]!.session.goaway(Http2ErrorCode.NO_ERROR);
    await mesh.world.pass(20);
    await mesh.tunnel(undefined, server.address);
    assert.deepEqual([server.peers.length, first.closed], [2, false]);
    server.close();
  });

  withMesh('a call above the last stream of a GOAWAY goes to another connection', async (mesh) => {
    let connections = 0;
    const server = await rawListener(mesh, [], (connection) => {
      connections++;
      if (connections > 1) mesh.server.accept(connection);
      else
        connection.receive(onFirstData(() => connection.write(SETTINGS_AND_GOAWAY_0, 0, SETTINGS_AND_GOAWAY_0.length)));
    });
    await mesh.tunnel({ bytes: 5, seed: 1, end: false }, server.address);
    assert.deepEqual([connections, mesh.pool.counters.retried, mesh.calls.length], [2, 1, 1]);
    server.close();
  });

  withMesh('a peer that refuses every stream fails the call after a few connections', async (mesh) => {
    let asked = 0;
    const server = await rawServer(mesh, (_, stream) => {
      asked++;
      stream.reset(Http2ErrorCode.REFUSED_STREAM);
    });
    const opening = mesh.open(server.address);
    await mesh.world.until(() => opening.done);
    assert.deepEqual([opening.error?.code, asked], ['HTTP2_REFUSED_STREAM', HBONE_LIMITS.tunnelAttemptsMax]);
    server.close();
  });

  withMesh(
    'a call on a shared connection that was just lost is asked again; on its own connection it fails',
    async (mesh) => {
      const server = await rawServer(mesh, (peer, stream) => {
        if (server.peers.length === 1 && stream.id === 1) peer.answer(stream, '200', false);
        else if (server.peers.length === 1) peer.connection.abort(failure());
        else if (server.peers.length === 2) peer.answer(stream, '200', false);
        else peer.connection.abort(failure());
      });
      const first = await mesh.tunnel(undefined, server.address);
      await mesh.tunnel(undefined, server.address);
      assert.equal(first.closed, true, 'what ran on it is lost');
      assert.deepEqual([server.peers.length, mesh.pool.counters.retried], [2, 1]);
      const alone = mesh.open({ ...server.address, sourceIp: '10.9.9.9' });
      await mesh.world.until(() => alone.done);
      assert.ok(alone.error !== null);
      assert.equal(server.peers.length, 3);
      server.close();
    },
  );
}

function timeTests(withMesh: WithMesh): void {
  withMesh(
    'a server that answers no PING loses the connection and its tunnels fail',
    async (mesh) => {
      const server = await rawServer(mesh, (peer, stream) => peer.answer(stream, '200', false));
      const client = await mesh.tunnel(undefined, server.address);
      server.peers[0]!.deaf = true;
      await mesh.world.until(() => client.closed);
      assert.deepEqual([client.error?.code, client.ended], ['HBONE_KEEPALIVE', false]);
      assert.deepEqual([mesh.pool.counters.keepaliveTimeouts, mesh.pool.counters.connections], [1, 0]);
      await mesh.world.until(() => server.peers[0]!.closed || mesh.world.clientEngine.counters.connections === 0);
      server.close();
    },
    { limits: { ...SHORT_LIMITS, idleReleaseMs: 60_000 } },
  );

  withMesh(
    'peers that answer PINGs stay connected however long nothing else happens',
    async (mesh) => {
      const opening = mesh.open();
      await mesh.world.until(() => opening.done);
      await mesh.world.pass(1500);
      assert.equal(opening.side!.closed, false);
      await mesh.tunnelStillWorks();
      assert.equal(mesh.pool.counters.keepaliveTimeouts + mesh.server.counters.keepaliveTimeouts, 0);
    },
    { limits: { ...SHORT_LIMITS, idleReleaseMs: 60_000 } },
  );

  withMesh(
    'an idle connection is released after its last use, a used one is not',
    async (mesh) => {
      const brief = async (): Promise<void> => {
        const side = await mesh.tunnel({ bytes: 1, seed: 1, end: true });
        await mesh.world.until(() => side.closed);
      };
      await brief();
      await mesh.world.pass(200);
      await brief();
      await mesh.world.pass(200);
      assert.deepEqual([mesh.pool.counters.connections, mesh.pool.counters.dials], [1, 1]);
      const running = await mesh.tunnel();
      await mesh.world.pass(800);
      assert.deepEqual([mesh.pool.counters.connections, running.closed], [1, false]);
      running.stream.end();
      await mesh.world.until(() => mesh.pool.counters.connections === 0 && mesh.server.counters.connections === 0);
      assert.deepEqual([running.error, mesh.pool.counters.idleReleased], [null, 1]);
    },
    { limits: SHORT_LIMITS },
  );

  withMesh(
    'a call that is never answered fails at its deadline, and the server learns that it was given up',
    async (mesh) => {
      mesh.answer = () => {};
      const opening = mesh.open();
      await mesh.world.until(() => opening.done);
      assert.equal(opening.error?.code, 'HBONE_RESPONSE_TIMEOUT');
      await mesh.world.until(() => mesh.server.counters.callsAbandoned === 1);
    },
    { limits: SHORT_LIMITS },
  );
}

function boundTests(withMesh: WithMesh): void {
  const limited = (changes: Partial<HboneLimits>): { limits: HboneLimits } => ({
    limits: { ...HBONE_LIMITS, ...changes },
  });

  withMesh(
    'connections of one key are bounded',
    async (mesh) => {
      mesh.answer = (_, responder) => void mesh.accept(responder);
      const openings = openMany(mesh, 5);
      await allDone(mesh, openings);
      const codes = openings.map((opening) => opening.error?.code ?? 'open');
      assert.deepEqual(codes, ['open', 'open', 'open', 'open', 'HBONE_POOL_FULL']);
    },
    limited({ clientStreamsMax: 2, connectionsPerKeyMax: 2 }),
  );

  withMesh(
    'calls that wait for one key are bounded',
    async (mesh) => {
      const openings = openMany(mesh, 3);
      await allDone(mesh, openings);
      assert.deepEqual(
        openings.map((opening) => opening.error?.code ?? 'open'),
        ['open', 'open', 'HBONE_POOL_FULL'],
      );
    },
    limited({ waitersPerKeyMax: 2 }),
  );

  withMesh(
    'connections of all keys are bounded, and idle ones make room',
    async (mesh) => {
      const idle = await mesh.tunnel({ bytes: 1, seed: 1, end: true }, { sourceIp: '10.9.9.1' });
      await mesh.world.until(() => idle.closed);
      await mesh.tunnel(undefined, { sourceIp: '10.9.9.2' });
      assert.equal(mesh.pool.counters.connections, 1);
      const third = mesh.open({ sourceIp: '10.9.9.3' });
      await mesh.world.until(() => third.done);
      assert.equal(third.error?.code, 'HBONE_POOL_FULL');
    },
    limited({ poolConnectionsMax: 1 }),
  );
}

function drainTests(withMesh: WithMesh): void {
  withMesh('a draining pool ends idle connections now and others with their last tunnel', async (mesh) => {
    const idle = await mesh.tunnel({ bytes: 1, seed: 1, end: true }, { sourceIp: '10.9.9.1' });
    await mesh.world.until(() => idle.closed);
    const running = await mesh.tunnel();
    let drained = false;
    mesh.pool.drain(60_000, () => {
      drained = true;
    });
    assert.equal(mesh.pool.counters.connections, 1);
    await mesh.world.pass(50);
    assert.deepEqual([drained, running.closed], [false, false]);
    running.stream.end();
    await mesh.world.until(() => drained);
    assert.deepEqual([running.error, mesh.pool.counters.connections], [null, 0]);
  });

  withMesh('at the deadline of a drain what still runs is cut', async (mesh) => {
    const running = await mesh.tunnel();
    let drained = false;
    mesh.pool.drain(100, () => {
      drained = true;
    });
    await mesh.world.until(() => drained && running.closed);
    assert.equal(running.error?.code, 'HBONE_DRAINED');
  });

  withMesh('a closed pool fails what waits, cuts what runs, and takes nothing new', async (mesh) => {
    const running = await mesh.tunnel();
    const waiting = mesh.open({ sourceIp: '10.9.9.9' });
    mesh.pool.close();
    const late = mesh.open();
    assert.equal(late.done, false, 'no result from inside the call');
    await mesh.world.until(() => running.closed && waiting.done && late.done);
    assert.deepEqual([running.error?.code, waiting.error?.code], ['HBONE_DRAINED', 'HBONE_DRAINED']);
    assert.equal(late.error?.code, 'HBONE_POOL_CLOSED');
    assert.deepEqual([mesh.pool.counters.dialing, mesh.pool.counters.waiting], [0, 0]);
  });
}

/** SETTINGS without entries; GOAWAY that took no stream, NO_ERROR. */
const SETTINGS_AND_GOAWAY_0 = Uint8Array.from([
  0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

function onFirstData(callback: () => void): Receiver {
  let seen = false;
  return {
    creditBytes: () => 2 ** 20,
    onData: () => {
      if (!seen) callback();
      seen = true;
    },
    onEnd: () => {},
    onWritable: () => {},
    onClose: () => {},
  };
}

function openMany(mesh: Mesh, count: number): Opening[] {
  return Array.from({ length: count }, () => mesh.open());
}

function allDone(mesh: Mesh, openings: Opening[]): Promise<void> {
  return mesh.world.until(() => openings.every((opening) => opening.done));
}

/** Calls on the connection that had the most. */
function mostPerConnection(mesh: Mesh): number {
  const counts = new Map<number, number>();
  for (const { remote } of mesh.calls) counts.set(remote.port, (counts.get(remote.port) ?? 0) + 1);
  return Math.max(...counts.values());
}

function failure(): AmbitError {
  return aborted('a test did it');
}
