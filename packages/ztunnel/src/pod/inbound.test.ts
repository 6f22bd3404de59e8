import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { formatExplanation } from '@ambit/model/explain-format';
import type { Policy } from '@ambit/model/policy';
import type { ConnectOptions } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { ip, service, workload } from '../state/mesh.fixture.ts';
import { bytes, PodWorld, policy, type TestPod } from './pod-world.fixture.ts';

const WEB = 'cluster.local/ns/shop/sa/web';
const exactly = (value: string) => ({ is: 'exact', value }) as const;

const UNKNOWN = 'connection closed due to policy rejection: a policy that the workload names is not known yet';

interface Pair {
  readonly world: PodWorld;
  readonly web: TestPod;
  readonly api: TestPod;
}

async function pair(apiGiven: Parameters<PodWorld['pod']>[2] = {}): Promise<Pair> {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const api = await world.pod('api', '10.0.0.2', apiGiven);
  api.serve(8080, bytes(200, 2));
  return { world, web, api };
}

describe('policies decide by principal, namespace and port', () => {
  const noneAllowed = 'allow policies exist, but none allowed';
  const cases: [string, Policy[], string | null][] = [
    ['no policy at all', [], null],
    ['ALLOW this principal', [policy('p', { principals: [exactly(WEB)] })], null],
    ['ALLOW another principal', [policy('p', { principals: [exactly(`${WEB}2`)] })], noneAllowed],
    ['ALLOW this namespace', [policy('p', { namespaces: [exactly('shop')] })], null],
    ['ALLOW another namespace', [policy('p', { namespaces: [exactly('eu')] })], noneAllowed],
    ['ALLOW this port', [policy('p', { destinationPorts: [8080] })], null],
    ['ALLOW another port', [policy('p', { destinationPorts: [80] })], noneAllowed],
    ['ALLOW nothing', [policy('p', null)], noneAllowed],
    [
      'DENY this principal',
      [policy('p', { principals: [exactly(WEB)] }, { action: 'DENY' })],
      'explicitly denied by: shop/p',
    ],
    ['DENY another port', [policy('p', { destinationPorts: [80] }, { action: 'DENY' })], null],
    ['DENY in a dry run', [policy('p', { destinationPorts: [8080] }, { action: 'DENY', dryRun: true })], null],
    [
      'STRICT lets in who has an identity',
      [policy('p', { notPrincipals: [{ is: 'presence' }] }, { action: 'DENY' })],
      null,
    ],
  ];
  for (const [name, policies, denial] of cases) {
    test(name, async () => {
      const { world, web, api } = await pair();
      world.ready(policies);
      const call = web.call('10.0.0.2', 8080, bytes(300));
      world.pass();
      if (denial === null) {
        assert.deepEqual([call.side?.receivedBytes, api.served[0]?.receivedBytes], [200, 300]);
        assert.equal(api.observer.one.closed?.failure, null);
      } else {
        assertDenied({ world, web, api }, `connection closed due to policy rejection: ${denial}`);
        assert.ok(call.side?.closed);
      }
      await world.stop();
    });
  }
});

/** 401, flag DENY, the reasons under the id, and not a byte for the application. */
function assertDenied({ web, api }: Pair, message: string): void {
  const { failure } = api.observer.one.closed!;
  assert.equal(failure!.flag, 'DENY');
  assert.equal(failure!.message, message);
  assert.deepEqual([...api.denials.keys()], [failure!.denial?.id]);
  const [explanation] = api.denials.values();
  assert.equal(explanation!.decision.verdict, 'deny');
  assert.equal(failure!.denial?.reason, formatExplanation(explanation!).short);
  assert.equal(web.observer.failure, 'CONNECT http status: 401');
  assert.equal(api.served.length, 0, 'the application was never dialled');
  assert.deepEqual([api.observer.one.closed?.received, api.observer.one.closed?.sent], [0, 0]);
}

describe('test_find_inbound_upstream: what a CONNECT may ask for', () => {
  const byWaypoint = {
    waypoint: { destination: { case: 'address', value: { address: ip('10.0.0.2').toBytes() } }, hboneMtlsPort: 15_008 },
  } as const;
  const cases: [string, string, string][] = [
    ['its own address', '10.0.0.2:8080', 'open'],
    ['another address', '10.0.0.3:8080', '400 ip mismatch: 10.0.0.2 != 10.0.0.3'],
    ['a port of the proxy', '10.0.0.2:15008', '503 attempted recursive call to ourselves'],
    ['a service by name', 'api.shop:80', 'open'],
    [
      'a port that the service does not have',
      'api.shop:81',
      '503 requested service api.shop:81 found, but cannot resolve port',
    ],
    ['a service that nobody knows', 'cart.shop:80', '503 no service or workload for hostname: cart.shop'],
    ['the address of who has it as waypoint', '10.0.0.4:8080', 'open'],
    ['the address of a service that has it as waypoint', '10.1.0.4:8080', 'open'],
  ];
  for (const [name, authority, expected] of cases) {
    test(name, async () => {
      const { world, api } = await pair({ workload: { services: { 'shop/api.shop': [[80, 8080]] } } });
      world.add(service('shop/api.shop'), workload('c//Pod/shop/behind', { ips: ['10.0.0.4'], ...byWaypoint }));
      world.add(service('shop/behind.shop', { vips: ['10.1.0.4'], ...waypointService() }));
      world.ready();
      const peer = await world.peer('peer', '10.0.0.9');
      const opening = peer.connect(api, { authority }, bytes(50));
      world.pass();
      if (expected === 'open') {
        assert.deepEqual([api.served[0]?.receivedBytes, opening.side?.receivedBytes], [50, 200]);
      } else {
        const [status, ...reason] = expected.split(' ');
        assert.equal(opening.error?.message, `http status: ${status}`);
        assert.deepEqual(api.observer.rejections, [`inbound 10.0.0.9 -> 10.0.0.2:15008 ${reason.join(' ')}`]);
        assert.equal(api.observer.told.length, 0);
      }
      await world.stop();
    });
  }

  /** By name: the pod `api` is an endpoint of it. */
  function waypointService() {
    const value = { namespace: 'shop', hostname: 'api.shop' };
    return { waypoint: { destination: { case: 'hostname', value }, hboneMtlsPort: 15_008 } } as const;
  }
});

describe('a policy that the workload names and that is not known', () => {
  const named = { workload: { authorizationPolicies: ['shop/late'] } };
  const late = (action: Policy['action']): Policy =>
    policy('late', { principals: [exactly(WEB)] }, { scope: 'workload', action });

  test('is waited for, and lets in whom it allows', async () => {
    const { world, web, api } = await pair(named);
    world.ready();
    const call = web.call('10.0.0.2', 8080, bytes(10));
    world.pass(3000);
    assert.deepEqual([api.served.length, api.proxy.counters.waiting], [0, 1]);
    world.policies(late('ALLOW'));
    world.pass();
    assert.equal(call.side?.receivedBytes, 200);
    await world.stop();
  });

  test('is waited for, and keeps out whom it denies', async () => {
    const { world, web, api } = await pair(named);
    world.ready();
    web.call('10.0.0.2', 8080, bytes(10));
    world.pass(3000);
    world.policies(late('DENY'));
    world.pass();
    assertDenied({ world, web, api }, 'connection closed due to policy rejection: explicitly denied by: shop/late');
    await world.stop();
  });

  test('denies after five seconds', async () => {
    const { world, web, api } = await pair(named);
    world.ready();
    web.call('10.0.0.2', 8080, bytes(10));
    world.pass(4900);
    assert.equal(api.observer.told.length, 0);
    world.pass(1000);
    assertDenied({ world, web, api }, UNKNOWN);
    assert.match(api.observer.one.closed!.failure!.denial!.reason, /^policy not known yet: "shop\/late"/);
    await world.stop();
  });

  test('is not waited for when it was removed', async () => {
    const { world, web } = await pair(named);
    world.ready([late('DENY')]);
    world.state.applyPolicies({ upserts: [], removedNames: ['shop/late'] });
    const call = web.call('10.0.0.2', 8080, bytes(10));
    world.pass();
    assert.equal(call.side?.receivedBytes, 200);
    await world.stop();
  });

  test('is not waited for when the workload stops naming it', async () => {
    const { world, web, api } = await pair(named);
    world.ready();
    const call = web.call('10.0.0.2', 8080, bytes(10));
    world.pass();
    world.add({ ...api.workload, authorizationPolicies: [] });
    world.pass();
    assert.equal(call.side?.receivedBytes, 200);
    await world.stop();
  });

  test("is skipped where Istio's way was chosen", async () => {
    const { world, web } = await pair({ ...named, options: { unknownPolicy: 'skip' } });
    world.ready();
    const call = web.call('10.0.0.2', 8080, bytes(10));
    world.pass();
    assert.equal(call.side?.receivedBytes, 200);
    await world.stop();
  });
});

test('a denial whose reasons are not kept is told all the same', async () => {
  const { world, web, api } = await pair();
  api.explains = false;
  world.ready([policy('p', null)]);
  web.call('10.0.0.2', 8080);
  world.pass();
  const message = 'connection closed due to policy rejection: allow policies exist, but none allowed';
  assert.deepEqual(api.observer.one.closed?.failure, { flag: 'DENY', message, denial: null });
  await world.stop();
});

test('an application that is not reached: 503, CONNECT, and the words of Istio', async () => {
  const { world, web, api } = await pair();
  world.ready();
  web.call('10.0.0.2', 9999, bytes(10));
  world.pass();
  assert.equal(api.observer.failure, 'CONNECT connection failed: connecting to 10.0.0.2:9999 was refused');
  assert.equal(web.observer.failure, 'CONNECT http status: 503');
  await world.stop();
});

test('a client that gives up while the application is dialled takes the dial with it', async () => {
  const { world, web, api } = await pair();
  world.ready();
  world.network.drop('10.0.0.2', 8080);
  const call = web.call('10.0.0.2', 8080, bytes(10));
  world.pass(2000);
  call.side!.stream.abort(aborted('the application gave up'));
  world.pass(100);
  const left = '- the client left before there was a connection to the destination';
  assert.deepEqual([web.observer.failure, api.observer.failure], [left, left]);
  world.pass(20_000);
  assert.equal(api.served.length, 0);
  await world.stop();
});

test('the application sees the client, or the proxy where the source is not kept', async () => {
  for (const [preservesSource, seen] of [
    [true, '10.0.0.1'],
    [false, '10.0.0.2'],
  ] as const) {
    const { world, web, api } = await pair({ options: { preservesSource } });
    world.ready();
    web.call('10.0.0.2', 8080, bytes(10));
    world.pass();
    assert.deepEqual(api.seenFrom, [seen]);
    await world.stop();
  }
});

test("each dial is made in the pod's namespace with the proxy's mark, from the client's address if it is another's", async () => {
  const dial = { namespaceFd: 42, mark: 0x539 };
  const { world, web, api } = await pair({ options: { dial } });
  const dialled: ConnectOptions[] = [];
  const connect = api.engine.connect.bind(api.engine);
  api.engine.connect = (options, result) => {
    dialled.push(options);
    return connect(options, result);
  };
  world.ready();
  web.call('10.0.0.2', 8080);
  world.pass();
  // The pod calls itself: over its own port 15008 to its own application.
  api.call('10.0.0.2', 8080);
  world.pass();
  const ofProxy = dialled.filter(({ mark }) => mark === 0x539);
  assert.ok(ofProxy.every(({ namespaceFd }) => namespaceFd === 42));
  assert.deepEqual(
    ofProxy.map(({ port, sourceIp, transparent }) => [port, sourceIp, transparent]),
    [
      [8080, '10.0.0.1', true],
      [15_008, undefined, undefined],
      [8080, undefined, undefined],
    ],
  );
  assert.equal(dialled.length, 1 + ofProxy.length, 'the other one is the application, which called the proxy');
  await world.stop();
});

describe('the answer tells of the destination, and only when it is 200', () => {
  for (const [sendsResponseBaggage, port, expected] of [
    [true, 8080, ['baggage', 'k8s.cluster.name=c1,k8s.namespace.name=shop,k8s.deployment.name=api']],
    [false, 8080, []],
    [true, 9999, null],
  ] as const) {
    test(`baggage ${sendsResponseBaggage}, port ${port}`, async () => {
      const { world, api } = await pair({ workload: { clusterId: 'c1' }, options: { sendsResponseBaggage } });
      world.ready();
      const peer = await world.peer('peer', '10.0.0.9');
      const opening = peer.connect(api, { authority: `10.0.0.2:${port}` });
      world.pass();
      assert.deepEqual(opening.response?.headers.slice(2) ?? null, expected);
      await world.stop();
    });
  }
});

describe('who called, for telemetry', () => {
  const cases: [string, string, string, string | null, string | null][] = [
    ['by address', '', '', 'peer', 'api.shop'],
    ['the service that the caller named', '', 'for="10.0.0.9:1";host=other.shop', 'peer', 'other.shop'],
    ['a service that is none of ours is not believed', '', 'for="10.0.0.9:1";host=bank.eu', 'peer', 'api.shop'],
    ['through a gateway the address is not the caller', 'east', '', null, 'api.shop'],
  ];
  for (const [name, forwardedNetwork, forwarded, source, destination] of cases) {
    test(name, async () => {
      const services = { 'shop/api.shop': [[80, 8080]], 'shop/other.shop': [[81, 8080]] } as const;
      const { world, api } = await pair({ workload: { services } });
      world.add(service('shop/api.shop'), service('shop/other.shop', { ports: [[81, 8080]] }));
      world.add(workload('c//Pod/shop/peer', { ips: ['10.0.0.9'] }));
      world.ready();
      const peer = await world.peer('peer', '10.0.0.9');
      const baggage = 'k8s.namespace.name=eu';
      peer.connect(api, { authority: '10.0.0.2:8080', forwarded, forwardedNetwork, baggage });
      world.pass();
      const { facts } = api.observer.one;
      assert.deepEqual([facts.sourceWorkload?.name ?? null, facts.destinationService?.hostname], [source, destination]);
      assert.equal(facts.sourceBaggage?.namespace, 'eu');
      assert.equal(facts.sourceIdentity?.serviceAccount, 'peer');
      assert.equal(facts.destinationWorkload?.name, 'api');
      await world.stop();
    });
  }
});
