/** Idleness and keepalive to the millisecond, for engines whose clock stands still between events (reference 3.6, 3.7). */
import assert from 'node:assert/strict';
import { type MakeWorld, meshTests, SHORT_LIMITS } from './world.ts';

export function clockSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);

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
    'each idle connection has its own time',
    async (mesh) => {
      for (const sourceIp of ['10.9.9.1', '10.9.9.2']) {
        const side = await mesh.tunnel({ bytes: 1, seed: 1, end: true }, { sourceIp });
        await mesh.world.until(() => side.closed);
        await mesh.world.pass(200);
      }
      await mesh.world.until(() => mesh.pool.counters.connections === 1);
      await mesh.world.pass(50);
      assert.equal(mesh.pool.counters.connections, 1, 'the second was idle for less');
      await mesh.world.until(() => mesh.pool.counters.connections === 0);
      assert.equal(mesh.pool.counters.idleReleased, 2);
    },
    { limits: SHORT_LIMITS },
  );
}
