import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { formatIdentity } from '@ambit/model/identity';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import type { Connection } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { Opening } from '@ambit/testkit/hbone-world';
import { parseTraceparent } from '@ambit/wire/traceparent';
import { ip, service, workload } from '../state/mesh.fixture.ts';
import { POD_LIMITS } from './limits.ts';
import { bytes, PodWorld, type TestPod } from './pod-world.fixture.ts';

const WAYPOINT_IP = '10.0.0.10';
const WEB = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
const toWaypoint = { destination: { case: 'address', value: { address: ip(WAYPOINT_IP).toBytes() } } } as const;
const WAYPOINT = { ...toWaypoint, hboneMtlsPort: 15_008 };

/** The pod that calls is itself the waypoint. */
const BY_WEB = {
  destination: { case: 'address', value: { address: ip('10.0.0.1').toBytes() } },
  hboneMtlsPort: 15_008,
} as const;

const hbone = (name: string, ips: string[], given: Parameters<typeof workload>[1] = {}): Workload =>
  workload(`c//Pod/shop/${name}`, { ips, tunnelProtocol: 1, serviceAccount: name, ...given });

/** Where a call went: next hop, authority, destination; or why it was refused. */
function outcome({ observer }: TestPod): string {
  if (observer.told.length === 0) return observer.rejections.map((line) => line.replace(/^.*?:\d+ /, '')).join();
  const { nextHop, hboneAuthority, destinationWorkload, destinationService, encrypted } = observer.one.facts;
  const way = hboneAuthority === null ? 'plain' : `CONNECT ${hboneAuthority}`;
  const names = `${destinationWorkload?.name ?? '-'} ${destinationService?.hostname ?? '-'}`;
  assert.equal(encrypted, hboneAuthority !== null);
  return `${nextHop.ip}:${nextHop.port} ${way} ${names}`;
}

describe('where a call goes, by the names of the rows of Istio', () => {
  const waypoint = hbone('waypoint', [WAYPOINT_IP]);
  const svc = (given: Parameters<typeof service>[1] = {}): Service =>
    service('shop/api.shop', { vips: ['10.1.0.1'], ports: [[80, 8080]], ...given });
  const inApi = { services: { 'shop/api.shop': [] } };
  const cases: [string, readonly (Workload | Service)[], string, string][] = [
    ['unknown_dest', [], '10.9.9.9:80', '10.9.9.9:80 plain - -'],
    [
      'wrong_network',
      [hbone('far', [], { network: 'east', ...inApi, networkGateway: WAYPOINT }), svc()],
      '10.1.0.1:80',
      'unknown network gateway: /10.0.0.10 port 15008',
    ],
    [
      'double_hbone',
      [
        hbone('far', [], { network: 'east', ...inApi, networkGateway: WAYPOINT }),
        svc(),
        hbone('gateway', [WAYPOINT_IP]),
      ],
      '10.1.0.1:80',
      'not supported yet: double HBONE to the gateway of another network: c//Pod/shop/gateway',
    ],
    ['known_dest_tcp', [hbone('api', ['10.0.0.2'], { tunnelProtocol: 0 })], '10.0.0.2:80', '10.0.0.2:80 plain api -'],
    ['known_dest_hbone', [hbone('api', ['10.0.0.2'])], '10.0.0.2:80', '10.0.0.2:15008 CONNECT 10.0.0.2:80 api -'],
    [
      'known_dest_hbone over IPv6',
      [hbone('api', ['2001:db8::2'])],
      '2001:db8::2:80',
      '2001:db8::2:15008 CONNECT [2001:db8::2]:80 api -',
    ],
    [
      'destination_waypoint',
      [hbone('api', ['10.0.0.2'], { waypoint: WAYPOINT }), waypoint],
      '10.0.0.2:80',
      '10.0.0.10:15008 CONNECT 10.0.0.2:80 waypoint -',
    ],
    [
      'destination_svc_waypoint',
      [hbone('api', ['10.0.0.2'], inApi), svc({ waypoint: WAYPOINT }), waypoint],
      '10.1.0.1:80',
      '10.0.0.10:15008 CONNECT 10.1.0.1:80 waypoint api.shop',
    ],
    [
      'destination_waypoint on a port of its own',
      [hbone('api', ['10.0.0.2'], { waypoint: { ...toWaypoint, hboneMtlsPort: 15_443 } }), waypoint],
      '10.0.0.2:80',
      '10.0.0.10:15443 CONNECT 10.0.0.2:80 waypoint -',
    ],
    [
      'source_waypoint',
      [hbone('api', ['10.0.0.2'], { waypoint: BY_WEB }), hbone('web', ['10.0.0.1'])],
      '10.0.0.2:80',
      '10.0.0.2:15008 CONNECT 10.0.0.2:80 api -',
    ],
    [
      'a waypoint that nobody knows',
      [hbone('api', ['10.0.0.2'], { waypoint: WAYPOINT })],
      '10.0.0.2:80',
      'unknown waypoint: /10.0.0.10 port 15008',
    ],
    ['empty_service', [svc()], '10.1.0.1:80', 'no healthy upstream: 10.1.0.1:80'],
    [
      'target_port',
      [hbone('api', ['10.0.0.2'], inApi), svc()],
      '10.1.0.1:80',
      '10.0.0.2:15008 CONNECT 10.0.0.2:8080 api api.shop',
    ],
    [
      'host_network',
      [hbone('api', ['10.0.0.2'], { tunnelProtocol: 0, networkMode: 1, ...inApi }), svc()],
      '10.1.0.1:80',
      '10.0.0.2:8080 plain api api.shop',
    ],
    ['passthrough_svc', [svc({ loadBalancing: { mode: 3 } })], '10.1.0.1:80', '10.1.0.1:80 plain - -'],
    [
      'a workload with a name in place of an address',
      [hbone('api', [], { hostname: 'api.example.com', ...inApi }), svc()],
      '10.1.0.1:80',
      'not supported yet: a workload without an address: api.example.com',
    ],
  ];
  for (const [name, given, to, expected] of cases) {
    test(name, async () => {
      const world = new PodWorld();
      const web = await world.pod('web', '10.0.0.1');
      world.add(...given);
      world.ready();
      const colon = to.lastIndexOf(':');
      const call = web.call(to.slice(0, colon), Number(to.slice(colon + 1)), bytes(10));
      world.pass(20_000);
      assert.equal(outcome(web), expected);
      assert.ok(call.side?.closed, 'nobody is there, so the application was told');
      await world.stop();
    });
  }
});

test('a CONNECT carries authority, baggage of the source, forwarded with the service, and a trace id of its own', async () => {
  const world = new PodWorld();
  const given = { clusterId: 'c1', canonicalName: 'web', canonicalRevision: 'v1' };
  const web = await world.pod('web', '10.0.0.1', { workload: given });
  const waypoint = await world.peer('waypoint', WAYPOINT_IP);
  world.add(hbone('waypoint', [WAYPOINT_IP]), hbone('api', ['10.0.0.2'], { waypoint: WAYPOINT }));
  world.add(service('shop/api.shop', { vips: ['10.1.0.1'], waypoint: WAYPOINT }));
  world.ready();
  const calls = [web.call('10.1.0.1', 80), web.call('10.0.0.2', 9090)];
  world.pass();
  const [toService, toPod] = waypoint.calls.toSorted((a, b) => a.connect.authority.port - b.connect.authority.port);
  assert.deepEqual(toService!.connect.authority, { kind: 'ip', ip: '10.1.0.1', port: 80 });
  assert.deepEqual(toPod!.connect.authority, { kind: 'ip', ip: '10.0.0.2', port: 9090 });
  const clients = calls.map(({ side }) => side!.stream as unknown as { local: { port: number } });
  assert.deepEqual(toService!.connect.forwarded, { for: `10.0.0.1:${clients[0]!.local.port}`, host: 'api.shop' });
  assert.deepEqual(toPod!.connect.forwarded, { for: `10.0.0.1:${clients[1]!.local.port}`, host: '' });
  const { baggage, traceparent, forwardedNetwork } = toService!.connect;
  assert.equal(forwardedNetwork, '');
  assert.deepEqual(
    [baggage.cluster, baggage.namespace, baggage.workloadName, baggage.service, baggage.revision],
    ['c1', 'shop', 'web', 'web', 'v1'],
  );
  assert.ok(traceparent !== null && toPod!.connect.traceparent?.traceId !== traceparent.traceId);
  assert.notEqual(parseTraceparent(`00-${traceparent.traceId}-${traceparent.parentId}-00`), null);
  assert.equal(formatIdentity(toService!.peer), 'spiffe://cluster.local/ns/shop/sa/web');
  assert.equal(web.proxy.counters.pool.dials, 1, 'both calls share a connection');
  await world.stop();
});

describe('calls to the proxy itself are refused', () => {
  const cases: [string, string, number][] = [
    ['on loopback', '127.0.0.1', 15_001],
    ['on loopback of IPv6', '::1', 15_008],
    ["at the pod's address", '10.0.0.1', 15_006],
  ];
  for (const [name, to, port] of cases) {
    test(name, async () => {
      const world = new PodWorld();
      const web = await world.pod('web', '10.0.0.1', { workload: { tunnelProtocol: 0 } });
      world.ready();
      const call = web.call(to, port);
      world.pass();
      assert.equal(outcome(web), 'attempted recursive call to ourselves');
      assert.ok(call.side?.closed);
      await world.stop();
    });
  }
});

test('who dials the proxy itself, past redirection, is refused before anything is known', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1', { unknown: true });
  web.engine.listen({ ip: '10.0.0.1', port: 15_001 }, (connection) => web.proxy.outbound(connection));
  const call = new Opening();
  const onOpen = (connection: Connection): void => call.onOpen(connection, { headers: [], peerIdentity: WEB });
  web.engine.connect({ ip: '10.0.0.1', port: 15_001 }, { onOpen, onFail: (error) => call.onFail(error) });
  world.pass();
  assert.equal(outcome(web), 'attempted recursive call to ourselves');
  assert.ok(call.side?.closed);
  await world.stop();
});

test('a port like ours at another address is nobody of ours', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  world.ready();
  web.call('10.9.9.9', 15_001);
  world.pass();
  assert.equal(outcome(web), '10.9.9.9:15001 plain - -');
  await world.stop();
});

test('test_wait_for_workload_eventually: a call before the workload is known goes on when it comes', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1', { unknown: true });
  const api = await world.pod('api', '10.0.0.2');
  api.serve(80, bytes(1000, 2));
  world.ready();
  const call = web.call('10.0.0.2', 80, bytes(500));
  world.pass(4000);
  assert.equal(web.proxy.counters.waiting, 1);
  assert.equal(api.served.length, 0);
  world.add(web.workload);
  world.pass();
  assert.equal(call.side?.receivedBytes, 1000);
  assert.equal(api.served[0]?.receivedBytes, 500);
  await world.stop();
});

test('test_wait_for_workload_delay_fails: after five seconds the call is refused', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1', { unknown: true });
  world.ready();
  const call = web.call('10.0.0.2', 80);
  world.pass(4900);
  assert.ok(call.side?.closed === false);
  world.pass(200);
  assert.ok(call.side?.closed);
  assert.equal(outcome(web), 'failed to fetch information about local workload: web');
  await world.stop();
});

test('a client that leaves while its call waits takes the waiting with it', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1', { unknown: true });
  world.ready();
  const call = web.call('10.0.0.2', 80);
  world.pass(1000);
  call.side!.stream.abort(aborted('the application gave up'));
  world.pass(1000);
  assert.deepEqual([web.proxy.counters.waiting, web.proxy.counters.connections], [0, 0]);
  await world.stop();
});

test('nobody is served before workloads and policies have both come, and who was early is served then', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const api = await world.pod('api', '10.0.0.2');
  api.serve(80, bytes(100, 2));
  const call = web.call('10.0.0.2', 80, bytes(100));
  const plain = api.callPlain(web.engine, 80, bytes(100));
  world.pass(10_000);
  assert.equal(api.served.length, 0);
  assert.deepEqual([web.proxy.counters.waiting, api.proxy.counters.waiting], [1, 1]);
  world.ready();
  world.pass();
  assert.deepEqual([call.side?.receivedBytes, plain.side?.receivedBytes, api.served.length], [100, 100, 2]);
  await world.stop();
});

test('who waits for the first state is refused when it does not come, and at once when too many wait', async () => {
  const world = new PodWorld();
  const options = { limits: { ...POD_LIMITS, waitingMax: 1 } };
  const web = await world.pod('web', '10.0.0.1', { options });
  const calls = [web.call('10.0.0.2', 80), web.call('10.0.0.2', 80)];
  world.pass(1000);
  assert.equal(calls.filter(({ side }) => side?.closed).length, 1);
  world.pass(POD_LIMITS.readyWaitMs);
  assert.equal(calls.filter(({ side }) => side?.closed).length, 2);
  const reason = 'outbound 10.0.0.1 -> 10.0.0.2:80 workloads and policies have not been received yet';
  assert.deepEqual(web.observer.rejections, [reason, reason]);
  await world.stop();
});

test('more connections than a pod may have are turned away, and the others go on', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1', { options: { limits: { ...POD_LIMITS, connectionsMax: 2 } } });
  const api = await world.pod('api', '10.0.0.2');
  api.serve(80);
  world.ready();
  const calls = [1, 2, 3].map(() => web.call('10.0.0.2', 80, { bytes: 10, seed: 1, end: false }));
  world.pass();
  assert.deepEqual([api.served.length, calls.filter(({ side }) => side?.closed).length], [2, 1]);
  assert.deepEqual(web.observer.rejections, ['outbound 10.0.0.1 -> 10.0.0.2:80 2 connections are open']);
  await world.stop();
});
