import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { parseCidr } from '@ambit/model/ip-address';
import type { Policy } from '@ambit/model/policy';
import { service, workload } from '../state/mesh.fixture.ts';
import { bytes, OWN_PORTS, PodWorld, policy, type TestPod } from './pod-world.fixture.ts';

const STRICT = policy('strict', { notPrincipals: [{ is: 'presence' }] }, { action: 'DENY' });
const FROM_OUTSIDE = policy('outside', { sourceIps: [parseCidr('192.0.2.0/24')!] });

async function podAndOutsider(given: Parameters<PodWorld['pod']>[2] = {}) {
  const world = new PodWorld();
  const api = await world.pod('api', '10.0.0.2', given);
  api.serve(8080, bytes(200, 2));
  return { world, api, outsider: world.engine('outsider', '192.0.2.9') };
}

describe('who comes without an identity', () => {
  const cases: [string, Policy[], string | null][] = [
    ['passes where no policy says otherwise (PERMISSIVE)', [], null],
    ['is refused under STRICT', [STRICT], 'explicitly denied by: shop/strict'],
    ['passes by address', [FROM_OUTSIDE], null],
    [
      'is refused where principals are asked for',
      [policy('p', { principals: [{ is: 'presence' }] })],
      'allow policies exist, but none allowed',
    ],
  ];
  for (const [name, policies, denial] of cases) {
    test(name, async () => {
      const { world, api, outsider } = await podAndOutsider();
      world.ready(policies);
      const call = api.callPlain(outsider, 8080, bytes(300));
      world.pass();
      const { closed, facts } = api.observer.one;
      assert.deepEqual([facts.encrypted, facts.sourceIdentity, facts.hboneAuthority], [false, null, null]);
      if (denial === null) {
        assert.deepEqual([call.side?.receivedBytes, api.served[0]?.receivedBytes], [200, 300]);
        assert.deepEqual(closed, { received: 300, sent: 200, failure: null });
        assert.deepEqual(api.seenFrom, ['192.0.2.9']);
      } else {
        assert.equal(closed?.failure?.message, `connection closed due to policy rejection: ${denial}`);
        assert.equal(closed?.failure?.flag, 'DENY');
        assert.equal(api.denials.size, 1);
        assert.deepEqual([api.served.length, call.side?.closed, call.side?.receivedBytes], [0, true, 0]);
      }
      await world.stop();
    });
  }
});

test('a port of the proxy is refused', async () => {
  const { world, api, outsider } = await podAndOutsider();
  world.ready();
  const calls = OWN_PORTS.map((port) => api.callPlain(outsider, port));
  world.pass();
  assert.ok(calls.every(({ side }) => side?.closed));
  assert.deepEqual(
    api.observer.rejections.toSorted(),
    OWN_PORTS.map((port) => `inbound 192.0.2.9 -> 10.0.0.2:${port} attempted recursive call to ourselves`),
  );
  await world.stop();
});

test('an unknown policy denies after five seconds, as over HBONE', async () => {
  const { world, api, outsider } = await podAndOutsider({ workload: { authorizationPolicies: ['shop/late'] } });
  world.ready();
  api.callPlain(outsider, 8080, bytes(5));
  world.pass(4900);
  assert.equal(api.observer.told.length, 0);
  world.pass(500);
  assert.match(
    api.observer.failure,
    /^DENY connection closed due to policy rejection: a policy that .* is not known yet$/,
  );
  assert.equal(api.served.length, 0);
  await world.stop();
});

test('source and service are told as far as addresses and ports lead to them', async () => {
  const { world, api, outsider } = await podAndOutsider({ workload: { services: { 'shop/api.shop': [[80, 8080]] } } });
  world.add(service('shop/api.shop'), workload('c//VM/shop/outsider', { ips: ['192.0.2.9'] }));
  world.ready();
  api.callPlain(outsider, 8080);
  world.pass();
  const { sourceWorkload, destinationService, nextHop } = api.observer.one.facts;
  assert.deepEqual([sourceWorkload?.name, destinationService?.hostname], ['outsider', 'api.shop']);
  assert.deepEqual(nextHop, { ip: '10.0.0.2', port: 8080 });
  await world.stop();
});

test('an application that is not reached is told as such', async () => {
  const { world, api, outsider } = await podAndOutsider();
  world.ready();
  const call = api.callPlain(outsider, 9999);
  world.pass();
  assert.equal(api.observer.failure, 'CONNECT connection failed: connecting to 10.0.0.2:9999 was refused');
  assert.ok(call.side?.closed);
  await world.stop();
});

test('a policy that comes to forbid it cuts it', async () => {
  const { world, api, outsider } = await podAndOutsider();
  world.ready();
  const call: ReturnType<TestPod['callPlain']> = api.callPlain(outsider, 8080, { bytes: 50, seed: 1, end: false });
  world.pass();
  assert.equal(api.observer.one.closed, null);
  world.policies(STRICT);
  world.pass(100);
  assert.equal(api.observer.failure, 'DENY connection closed due to policy change');
  assert.deepEqual([call.side?.closed, api.served[0]?.closed], [true, true]);
  await world.stop();
});
