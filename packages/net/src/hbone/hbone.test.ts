/** The HBONE suites on the memory engine, and what only a network that swallows packets can show. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { MemoryNetwork } from '@ambit/net/memory';
import { hboneClockConformance, hboneConformance } from '@ambit/testkit/hbone-conformance';
import { Mesh, SHORT_LIMITS } from '@ambit/testkit/hbone-world';
import { HBONE_LIMITS } from '../limits.ts';
import { HBONE_PORT } from './destination.ts';
import { memoryWorld } from './memory-world.fixture.ts';

const makeWorld = async (seed: number) => memoryWorld(new MemoryNetwork({ seed }));
hboneConformance('memory', makeWorld);
hboneClockConformance('memory', makeWorld);

test('a dial that times out on port 15008 names the NetworkPolicy, and those who wait fail at their own deadline', async () => {
  const network = new MemoryNetwork({ seed: 1 });
  const mesh = await Mesh.start(memoryWorld(network));
  network.drop(mesh.world.serverIp, HBONE_PORT);
  const openings = [1, 2, 3].map(() => mesh.open({ destinationPort: HBONE_PORT }));
  await mesh.world.until(() => openings[0]!.done);
  assert.equal(mesh.world.clientEngine.nowMs(), HBONE_LIMITS.connectTimeoutMs);
  await mesh.world.until(() => openings.every((opening) => opening.done));
  assert.equal(mesh.world.clientEngine.nowMs(), HBONE_LIMITS.waitTimeoutMs);
  for (const { error } of openings) {
    assert.equal(error?.code, 'HBONE_DIAL_TIMEOUT');
    assert.match(error.message, /^connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: /);
    assert.equal(error.retry, 'safe');
  }
  await mesh.world.pass(HBONE_LIMITS.connectTimeoutMs);
  const { dials, dialing, waiting } = mesh.pool.counters;
  assert.deepEqual([dials, dialing, waiting], [2, 0, 0]);
  await mesh.stop();
});

test('a dial that times out on another port keeps its own error', async () => {
  const network = new MemoryNetwork({ seed: 1 });
  const mesh = await Mesh.start(memoryWorld(network), { limits: SHORT_LIMITS });
  network.drop(mesh.world.serverIp, 15_443);
  const opening = mesh.open({ destinationPort: 15_443 });
  await mesh.world.until(() => opening.done);
  assert.equal(opening.error?.code, 'CONNECT_TIMEOUT');
  await mesh.stop();
});

test('a call that joins a dial under way and gets no connection says so', async () => {
  const network = new MemoryNetwork({ seed: 1 });
  const limits = { ...SHORT_LIMITS, waitTimeoutMs: 100 };
  const mesh = await Mesh.start(memoryWorld(network), { limits });
  network.drop(mesh.world.serverIp, HBONE_PORT);
  const opening = mesh.open({ destinationPort: HBONE_PORT });
  await mesh.world.until(() => opening.done);
  assert.equal(opening.error?.code, 'HBONE_WAIT_TIMEOUT');
  await mesh.stop();
});
