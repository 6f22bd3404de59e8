/** What holds for two pods whatever happens to them: nothing stays open, everything is told once, bytes are whole or cut. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Rng, seededRng } from '@ambit/base/rng';
import { aborted } from '@ambit/net/errors';
import { type Opening, type Sending, sentHash } from '@ambit/testkit/hbone-world';
import fc from 'fast-check';
import { workload } from '../state/mesh.fixture.ts';
import { bytes, PodWorld, policy, type TestPod } from './pod-world.fixture.ts';

const CALLS = 12;
const RUNS = 25;

test('over many seeds no connection and no tracker is ever left open', async () => {
  const seen = { whole: 0, cut: 0, denied: 0, left: 0, rejected: 0 };
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => run(seed, seen)),
    { numRuns: RUNS },
  );
  // The property would say nothing if some of these never happened.
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `${what} never happened`);
});

async function run(
  seed: number,
  seen: Record<'whole' | 'cut' | 'denied' | 'left' | 'rejected', number>,
): Promise<void> {
  const rng = seededRng(seed);
  const world = new PodWorld({ seed, resetRate: rng.integer(2) === 0 ? 0 : 0.01, refuseRate: 0.05 });
  const web = await world.pod('web', '10.0.0.1', { unknown: rng.integer(3) === 0 });
  const api = await world.pod('api', '10.0.0.2', {
    workload: { authorizationPolicies: rng.integer(3) === 0 ? ['shop/late'] : [] },
  });
  const outsider = world.engine('outsider', '192.0.2.9');
  const downs = Array.from({ length: CALLS }, (_, i) => bytes(rng.integer(80_000), 100 + i));
  for (const [i, down] of downs.entries()) if (i !== 3) api.serve(1000 + i, down);
  world.network.drop('10.0.0.2', 1003);

  const at = (delayMs: number, what: () => void): unknown => web.engine.after(rng.integer(delayMs), what);
  at(2000, () => world.ready());
  at(3000, () => world.add(web.workload));
  const calls: [Opening, Sending][] = [];
  for (const [i, down] of downs.entries()) {
    at(3000, () => {
      const sends = bytes(rng.integer(80_000), i);
      const port = 1000 + i;
      const opening = i % 4 === 0 ? api.callPlain(outsider, port, sends) : web.call('10.0.0.2', port, sends);
      calls.push([opening, down]);
    });
  }
  for (let i = 0; i < 6; i += 1) disturb(rng, world, web, api, calls, at);
  if (rng.integer(3) === 0) at(4000, () => (rng.integer(2) === 0 ? web : api).proxy.drain(rng.integer(3000), () => {}));
  world.pass(60_000);
  check(calls, [web, api], seen);
  await world.stop();
}

/** One of the things that happen to a pod. */
function disturb(
  rng: Rng,
  world: PodWorld,
  web: TestPod,
  api: TestPod,
  calls: readonly [Opening, Sending][],
  at: (delayMs: number, what: () => void) => unknown,
): void {
  const port = 1000 + rng.integer(CALLS);
  const kinds: (() => void)[] = [
    () => calls[rng.integer(CALLS)]?.[0].side?.stream.abort(aborted('the application gave up')),
    () => api.served[rng.integer(CALLS)]?.stream.abort(aborted('the application crashed')),
    () => world.policies(policy('some', { destinationPorts: [port] }, { action: 'DENY' })),
    () => world.policies(policy('late', { notDestinationPorts: [port] }, { scope: 'workload' })),
    () => world.add({ ...api.workload, authorizationPolicies: rng.integer(2) === 0 ? ['shop/late'] : [] }),
    () => world.add(workload('c//Pod/shop/other', { ips: ['10.0.0.7'] })),
    () => world.network.breakConnections(({ remote }) => remote.ip === web.ip && rng.integer(4) === 0),
  ];
  at(5000, kinds[rng.integer(kinds.length)]!);
}

function check(
  calls: readonly [Opening, Sending][],
  pods: readonly TestPod[],
  seen: Record<'whole' | 'cut' | 'denied' | 'left' | 'rejected', number>,
): void {
  for (const [{ side, error }, down] of calls) {
    assert.ok(error !== null || side !== null, 'each call was answered');
    if (side === null) continue;
    assert.ok(side.closed, 'each application learns of the end');
    if (side.ended) assert.deepEqual([side.receivedBytes, side.hash], [down.bytes, sentHash(down)]);
    else assert.notEqual(side.error, null, 'what is cut short says so');
    seen[side.ended ? 'whole' : 'cut'] += 1;
  }
  for (const { observer, denials, proxy } of pods) {
    seen.rejected += observer.rejections.length;
    for (const { closed } of observer.told) {
      assert.notEqual(closed, null, 'each tracker was closed');
      const { failure } = closed!;
      if (failure?.message.startsWith('the client left')) seen.left += 1;
      assert.equal(failure?.flag === 'DENY', (failure?.denial ?? null) !== null, 'each denial has its reasons');
      if (failure?.denial == null) continue;
      seen.denied += 1;
      assert.equal(denials.get(failure.denial.id!)?.decision.verdict, 'deny');
    }
    assert.equal(proxy.counters.faults, 0);
  }
}
