/** HBONE's connection pool: what is shared, when a connection is left, and what a waiting call may count on (3.6). */
import assert from 'node:assert/strict';
import type { AmbitError } from '@ambit/base/errors';
import { aborted } from '@ambit/net/errors';
import { HBONE_LIMITS, type HboneLimits } from '@ambit/net/limits';
import { CLIENT_IDENTITY, freshMaterialFor, SERVER_IDENTITY } from '../authority.ts';
import { type MakeWorld, type Mesh, meshTests, type Opening, type WithMesh } from './world.ts';

export function poolSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  sharingTests(withMesh);
  dialTests(withMesh);
  boundTests(withMesh);
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
