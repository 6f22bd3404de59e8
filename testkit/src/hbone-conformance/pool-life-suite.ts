/** How a pooled connection ends: GOAWAY, loss, silence, drain; and what its tunnels see of it (3.6, 3.7, 3.9). */
import assert from 'node:assert/strict';
import type { AmbitError } from '@ambit/base/errors';
import type { Receiver } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { HBONE_LIMITS } from '@ambit/net/limits';
import { Http2ErrorCode } from '@ambit/wire/http2';
import { rawListener, rawServer } from './raw-peer.ts';
import { type MakeWorld, meshTests, SHORT_LIMITS, type WithMesh } from './world.ts';

export function poolLifeSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  goawayTests(withMesh);
  silenceTests(withMesh);
  drainTests(withMesh);
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

function silenceTests(withMesh: WithMesh): void {
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

function failure(): AmbitError {
  return aborted('a test did it');
}
