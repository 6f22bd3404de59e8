/** What holds for HBONE whatever the network does: many seeds, with cut pieces, broken connections, aborts and a drain. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { MemoryNetwork } from '@ambit/net/memory';
import { Mesh, Opening, type Sending, SHORT_LIMITS, type Side, sentHash } from '@ambit/testkit/hbone-world';
import fc from 'fast-check';
import { aborted } from '../errors.ts';
import { memoryWorld } from './memory-world.fixture.ts';

const TUNNELS = 12;

test('whatever breaks, each call ends once, an end means whole bytes, and nothing is left', async () => {
  const seeds = fc.integer({ min: 0, max: 2 ** 31 });
  let opened = 0;
  let broken = 0;
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const outcome = await run(seed);
      opened += outcome.opened;
      broken += outcome.broken;
    }),
    { numRuns: 25 },
  );
  // The property would say nothing if no tunnel ever opened, or none ever broke.
  assert.ok(opened > 50 && broken > 5, `${opened} opened, ${broken} broken`);
});

test('the same seed gives the same run, byte for byte', async () => {
  const traces = [[], []] as [string[], string[]];
  for (const trace of traces) {
    for (const seed of [77, 78, 79, 80]) await run(seed, (line) => trace.push(line));
  }
  assert.ok(traces[0].length > 1000);
  assert.deepEqual(traces[0], traces[1]);
});

interface Outcome {
  readonly opened: number;
  readonly broken: number;
}

async function run(seed: number, trace?: (line: string) => void): Promise<Outcome> {
  const rng = seededRng(seed);
  const resetRate = rng.integer(3) === 0 ? 0 : 0.02;
  const network = new MemoryNetwork({ seed, resetRate, refuseRate: 0.05, ...(trace === undefined ? {} : { trace }) });
  const limits = { ...SHORT_LIMITS, clientStreamsMax: 1 + rng.integer(8) };
  const serverLimits = { ...SHORT_LIMITS, serverStreamsMax: 2 + rng.integer(8) };
  const mesh = await Mesh.start(memoryWorld(network), { limits, serverLimits });
  const ups = Array.from({ length: TUNNELS }, (_, i) => sending(rng.integer(150_000), 2 * i));
  const downs = Array.from({ length: TUNNELS }, (_, i) => sending(rng.integer(150_000), 2 * i + 1));
  const accepted: [number, Side][] = [];
  mesh.answer = (call, responder) => {
    const index = call.connect.authority.port - 1;
    const answer = (): unknown => accepted.push([index, mesh.accept(responder, downs[index]!)]);
    if (index % 3 === 0) mesh.world.serverEngine.after(rng.integer(100), answer);
    else answer();
  };
  const openings = ups.map((up) => new Opening(up));
  for (const [i, opening] of openings.entries()) {
    mesh.world.clientEngine.after(rng.integer(400), () => mesh.pool.openTunnel(requestFor(mesh, i), opening));
  }
  for (let i = 0; i < 12; i++) {
    const side = (): Side | null | undefined =>
      rng.integer(2) === 0 ? openings[rng.integer(TUNNELS)]!.side : accepted[rng.integer(TUNNELS)]?.[1];
    mesh.world.clientEngine.after(rng.integer(800), () => side()?.stream.abort(aborted('chosen by the seed')));
    mesh.world.clientEngine.after(rng.integer(800), () => stall(mesh, side()));
  }
  if (rng.integer(4) === 0) mesh.world.serverEngine.after(rng.integer(1000), () => mesh.server.drain(300, () => {}));
  await mesh.world.pass(30_000);

  const clients = openings.map((opening, i): [number, Side | null] => [i, opening.side]);
  for (const [i, side] of clients) if (side !== null) checkSide(side, downs[i]!);
  for (const [i, side] of accepted) checkSide(side, ups[i]!);
  assert.ok(
    openings.every((opening) => opening.done),
    'each call was answered',
  );
  const { connections, dialing, waiting, handlerFaults } = mesh.pool.counters;
  assert.deepEqual([connections, dialing, waiting, handlerFaults], [0, 0, 0, 0]);
  assert.deepEqual([mesh.server.counters.connections, mesh.server.counters.handlerFaults], [0, 0]);
  const { clientEngine, serverEngine } = mesh.world;
  assert.deepEqual([clientEngine.counters.queuedBytes, serverEngine.counters.queuedBytes], [0, 0]);
  assert.deepEqual([clientEngine.counters.connections, serverEngine.counters.connections], [0, 0]);
  assert.deepEqual([clientEngine.counters.handlerFaults, serverEngine.counters.handlerFaults], [0, 0]);
  await mesh.stop();
  const open = openings.filter((opening) => opening.side !== null);
  return { opened: open.length, broken: open.filter((opening) => opening.side!.error !== null).length };
}

function checkSide(side: Side, expected: Sending): void {
  assert.ok(side.closed, 'each stream is closed');
  if (side.ended) assert.deepEqual([side.receivedBytes, side.hash], [expected.bytes, sentHash(expected)]);
  else assert.ok(side.error !== null, 'what is cut short says so');
}

function stall(mesh: Mesh, side: Side | null | undefined): void {
  if (side === null || side === undefined) return;
  side.stalled = true;
  mesh.world.clientEngine.after(200, () => side.flow());
}

function sending(bytes: number, seed: number): Sending {
  return { bytes, seed, end: true };
}

function requestFor(mesh: Mesh, index: number): ReturnType<Mesh['request']> {
  const { connect } = mesh.request();
  return mesh.request({ connect: { ...connect, authority: `10.0.0.1:${index + 1}` } });
}
