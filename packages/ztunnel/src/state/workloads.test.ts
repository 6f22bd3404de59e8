/** The rows "Workloads", "xDS" (batches) and parts of "State" of the tests that pin Istio's ztunnel; each has its name. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { findAddress, findHostname } from '@ambit/model/mesh-index';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { LoadBalancing_HealthPolicy, NetworkMode, TunnelProtocol, WorkloadStatus } from '@ambit/proto/workload';
import { apply, ip, meshOf, service, workload } from './mesh.fixture.ts';
import { MeshState } from './mesh-state.ts';

const SERVICE = 'shop/cart.shop.svc';
const { UNHEALTHY } = WorkloadStatus;
const ALLOW_ALL = { healthPolicy: LoadBalancing_HealthPolicy.ALLOW_ALL };

/** Uids of the endpoints. */
function endpointsOf(state: MeshState, key = SERVICE): string[] {
  const [namespace = '', hostname = ''] = key.split('/');
  const found = state.serviceByHostname({ namespace, hostname });
  assert.ok(found);
  return state.endpoints(found).map(({ workload: { uid } }) => uid);
}

test('workload_information: a workload is found by address and by uid until it is removed', () => {
  const state = meshOf([workload('u', { ips: ['127.0.0.1', 'fd00::1'], network: 'net' })]);
  assert.equal(state.workloadByAddress('net', ip('127.0.0.1'))?.uid, 'u');
  assert.equal(state.workloadByAddress('net', ip('fd00::1'))?.uid, 'u');
  assert.equal(state.workloadByAddress('', ip('127.0.0.1')), null);
  assert.equal(state.workloadByAddress('net', ip('127.0.0.2')), null);
  assert.equal(state.workload('u')?.network, 'net');

  apply(state, [], 'not-there');
  assert.equal(state.workload('u')?.uid, 'u');
  apply(state, [], 'u');
  assert.equal(state.workload('u'), null);
  assert.equal(state.workloadByAddress('net', ip('127.0.0.1')), null);
  assert.equal(state.sizes().indexEntries, 0);
});

test('byte_to_ipaddr: an IPv4 address in the form of IPv6 is the IPv4 address', () => {
  const state = meshOf([workload('u', { ips: ['::ffff:10.0.0.1'] })]);
  assert.equal(state.workloadByAddress('', ip('10.0.0.1'))?.uid, 'u');
});

test('a workload that comes again is where it is now and nowhere else', () => {
  const before = workload('u', { ips: ['10.0.0.1', '10.0.0.2'], services: { [SERVICE]: [], 'shop/old': [] } });
  const state = meshOf([service(SERVICE), service('shop/old'), before]);
  apply(state, [workload('u', { ips: ['10.0.0.2', '10.0.0.3'], services: { [SERVICE]: [] } })]);
  const found = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((text) => state.workloadByAddress('', ip(text))?.uid);
  assert.deepEqual(found, [undefined, 'u', 'u']);
  assert.deepEqual(endpointsOf(state), ['u']);
  assert.deepEqual(endpointsOf(state, 'shop/old'), []);
});

test('host network: a workload on the network of its node is an endpoint and has no address', () => {
  const state = meshOf([
    service(SERVICE),
    workload('u', { ips: ['10.0.0.1'], networkMode: NetworkMode.HOST_NETWORK, services: { [SERVICE]: [] } }),
  ]);
  assert.equal(state.workloadByAddress('', ip('10.0.0.1')), null);
  assert.deepEqual(endpointsOf(state), ['u']);
});

describe('overlapping_workload_ip: on one address', () => {
  const { HBONE } = TunnelProtocol;
  const podInMesh = workload('c//Pod/shop/hbone', { ips: ['10.0.0.1'], tunnelProtocol: HBONE });
  const pod = workload('c//Pod/shop/plain', { ips: ['10.0.0.1'] });
  const entryInMesh = workload('c/WorkloadEntry/shop/hbone', { ips: ['10.0.0.1'], tunnelProtocol: HBONE });
  const entry = workload('c/WorkloadEntry/shop/plain', { ips: ['10.0.0.1'] });
  const testPod = workload('cluster1//v1/Pod/shop/plain', { ips: ['10.0.0.1'] });
  const cases: [string, readonly Workload[], Workload][] = [
    ['a pod of the mesh comes before every other', [entry, podInMesh, pod, entryInMesh], podInMesh],
    ['a pod before what somebody wrote', [entryInMesh, pod, entry], pod],
    ['one of the mesh before one that is not', [entryInMesh, entry], entryInMesh],
    [
      'the last of equals',
      [entry, workload('c/WorkloadEntry/shop/a', { ips: ['10.0.0.1'] })],
      workload('c/WorkloadEntry/shop/a'),
    ],
    ['a uid that only looks like one of a pod does not count', [testPod, entryInMesh], entryInMesh],
  ];
  for (const [name, given, expected] of cases) {
    test(name, () => assert.equal(meshOf(given).workloadByAddress('', ip('10.0.0.1'))?.uid, expected.uid));
  }
  test('the next one is found when the first has gone, and then none', () => {
    const state = meshOf([entry, podInMesh, pod]);
    const found = [podInMesh, pod, entry].map(({ uid }) => {
      apply(state, [], uid);
      return state.workloadByAddress('', ip('10.0.0.1'))?.uid;
    });
    assert.deepEqual(found, [pod.uid, entry.uid, undefined]);
    assert.equal(state.sizes().indexEntries, 0);
  });
  test("an address that a new pod got is the new one's before and after the old one is removed", () => {
    const next = workload('c//Pod/shop/next', { ips: ['10.0.0.1'], tunnelProtocol: HBONE });
    const state = meshOf([podInMesh]);
    apply(state, [next]);
    assert.equal(state.workloadByAddress('', ip('10.0.0.1'))?.uid, next.uid);
    apply(state, [], podInMesh.uid);
    assert.equal(state.workloadByAddress('', ip('10.0.0.1'))?.uid, next.uid);
  });
});

describe('unhealthy_workloads: endpoints of a service', () => {
  const healthy = workload('healthy', { services: { [SERVICE]: [[80, 1]] } });
  const unhealthy = workload('unhealthy', { services: { [SERVICE]: [[80, 2]] }, status: UNHEALTHY });
  const orders: [string, (Workload | Service)[][]][] = [
    ['that came first', [[service(SERVICE)], [healthy, unhealthy]]],
    ['that came last (staged)', [[healthy, unhealthy], [service(SERVICE)]]],
  ];
  for (const [name, updates] of orders) {
    test(`${name} are the healthy ones`, () => {
      const state = new MeshState({ localNode: null });
      for (const update of updates) apply(state, update);
      assert.deepEqual(endpointsOf(state), ['healthy']);
      apply(state, [workload('healthy', { services: { [SERVICE]: [] }, status: UNHEALTHY })]);
      assert.deepEqual(endpointsOf(state), []);
      apply(state, [healthy]);
      assert.deepEqual(endpointsOf(state), ['healthy']);
    });
  }
  test('that allows them are all, also when it allows them later, and no longer when it stops', () => {
    const state = meshOf([service(SERVICE), healthy, unhealthy]);
    apply(state, [service(SERVICE, { loadBalancing: ALLOW_ALL })]);
    assert.deepEqual(endpointsOf(state), ['healthy', 'unhealthy']);
    apply(state, [service(SERVICE)]);
    assert.deepEqual(endpointsOf(state), ['healthy']);
  });
  test('have the ports that the workload says', () => {
    const state = meshOf([service(SERVICE), healthy]);
    const [endpoint] = state.endpoints(service(SERVICE));
    assert.deepEqual([...(endpoint?.ports ?? [])], [[80, 1]]);
  });
});

test('staged_services_cleanup: what waited for its service is forgotten with its workload', () => {
  const state = meshOf([workload('u', { services: { [SERVICE]: [] } })]);
  apply(state, [workload('u', { services: {} })]);
  apply(state, [service(SERVICE)]);
  assert.deepEqual(endpointsOf(state), []);
  apply(state, [workload('v', { services: { 'shop/never-comes': [] } })], SERVICE);
  apply(state, [], 'u', 'v');
  assert.equal(state.sizes().indexEntries, 0);
});

test('apply_endpoints: endpoints outlive the removal of their service and are there when it returns', () => {
  const state = meshOf([service(SERVICE), workload('u', { services: { [SERVICE]: [] } })]);
  apply(state, [], SERVICE);
  assert.equal(state.serviceByHostname({ namespace: 'shop', hostname: 'cart.shop.svc' }), null);
  apply(state, [service(SERVICE)]);
  assert.deepEqual(endpointsOf(state), ['u']);
});

test('batch_service_before_workloads, remove_drops_endpoint: one update may hold everything, and removals come last', () => {
  const member = { services: { [SERVICE]: [] } };
  const state = meshOf([service(SERVICE), workload('a', member), workload('b', member), workload('c', member)]);
  assert.deepEqual(endpointsOf(state), ['a', 'b', 'c']);
  apply(state, [workload('d', member), workload('a', member)], 'b', 'd');
  assert.deepEqual(endpointsOf(state), ['c', 'a']);
});

describe('lookup_address', () => {
  const state = meshOf([
    workload('pod', { ips: ['10.0.0.1'], hostname: 'both.shop' }),
    service('shop/svc', { vips: ['10.0.0.1', '10.0.0.2', 'remote|10.0.0.1'] }),
  ]);
  const cases: [string, string, string, string | undefined][] = [
    ['an address of both is the workload', '', '10.0.0.1', 'workload'],
    ['else the service', '', '10.0.0.2', 'service'],
    ['on another network another', 'remote', '10.0.0.1', 'service'],
    ['or nobody', '', '10.0.0.3', undefined],
  ];
  for (const [name, network, address, expected] of cases) {
    test(name, () => assert.equal(findAddress(state, network, ip(address), 'shop')?.is, expected));
  }
  test('a name is first a service, then a workload, each in its namespace', () => {
    assert.equal(findHostname(state, { namespace: 'shop', hostname: 'svc' })?.is, 'service');
    assert.equal(findHostname(state, { namespace: 'shop', hostname: 'both.shop' })?.is, 'workload');
    assert.equal(findHostname(state, { namespace: 'eu', hostname: 'both.shop' }), null);
  });
});

describe('removal by name: a name is', () => {
  const uid = 'cluster1/networking.istio.io/WorkloadEntry/shop/vm';
  const cases: [string, string, string[]][] = [
    ['a uid', uid, ['shop/svc']],
    ['else a service, if only one slash is in it', 'shop/svc', [uid]],
    ['else nothing', 'shop/svc/more', ['shop/svc', uid]],
    ['nothing without a slash', 'svc', ['shop/svc', uid]],
  ];
  for (const [name, removed, left] of cases) {
    test(name, () => {
      const state = meshOf([workload(uid), service('shop/svc')]);
      apply(state, [], removed);
      const found = [...state.services()].map(({ namespace, hostname }) => `${namespace}/${hostname}`);
      assert.deepEqual([...found, ...[...state.workloads()].map((one) => one.uid)], left);
    });
  }
  test('a uid before a service, when it is both', () => {
    const state = meshOf([workload('shop/svc'), service('shop/svc')]);
    apply(state, [], 'shop/svc');
    assert.deepEqual([state.sizes().workloads, state.sizes().services], [0, 1]);
  });
});

describe('local workloads', () => {
  const HERE = { localNode: 'here' };
  const web = { name: 'web', namespace: 'shop', serviceAccount: 'sa' };
  const onNode = (node: string, uid = `${node}/web`) => workload(uid, { node, serviceAccount: 'sa' });

  test('are those of the node, found by name, namespace and service account', () => {
    assert.equal(meshOf([onNode('here'), onNode('there')], HERE).localWorkload(web)?.uid, 'here/web');
    assert.equal(meshOf([onNode('there')], HERE).localWorkload(web), null);
    for (const other of [{ name: 'x' }, { namespace: 'x' }, { serviceAccount: 'x' }]) {
      assert.equal(meshOf([onNode('here')], HERE).localWorkload({ ...web, ...other }), null);
    }
  });
  test('are all, when the node has no name', () => {
    assert.equal(meshOf([onNode('there')]).localWorkload(web)?.uid, 'there/web');
  });
  test('that came or changed are told, and not those that went in the same update', () => {
    const state = meshOf([], HERE);
    const { localWorkloads } = apply(
      state,
      [onNode('here', 'a/web'), onNode('there'), onNode('here', 'b/web')],
      'a/web',
    );
    assert.deepEqual(
      localWorkloads.map(({ uid }) => uid),
      ['b/web'],
    );
  });
  test('an identity is lost with the last of them that has it', () => {
    const state = meshOf([onNode('here', 'a/web'), onNode('here', 'b/web'), onNode('there')], HERE);
    assert.deepEqual(apply(state, [], 'a/web').identitiesLost, []);
    assert.deepEqual(apply(state, [onNode('here', 'b/web')]).identitiesLost, []);
    const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'sa' };
    assert.deepEqual(apply(state, [], 'b/web').identitiesLost, [identity]);
    assert.deepEqual(apply(state, [], 'there/web').identitiesLost, []);
  });
  test('an identity is lost when its workload moves to another node or gets another identity', () => {
    const lost = (next: Workload) => apply(meshOf([onNode('here')], HERE), [next]).identitiesLost.length;
    assert.equal(lost(onNode('there', 'here/web')), 1);
    assert.equal(lost(workload('here/web', { node: 'here', serviceAccount: 'other' })), 1);
    assert.equal(lost(workload('here/web', { node: 'here', serviceAccount: 'sa', trustDomain: 'td' })), 1);
    assert.equal(lost(onNode('here')), 0);
  });
});
