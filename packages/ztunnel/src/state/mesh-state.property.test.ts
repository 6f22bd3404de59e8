/** However the state was reached, it answers as one that was built from what is left. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { missingPolicies } from '@ambit/model/authorize';
import type { Policy } from '@ambit/model/policy';
import { policyKey } from '@ambit/model/policy';
import { type Service, serviceKey } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { LoadBalancing_HealthPolicy, NetworkMode, TunnelProtocol, WorkloadStatus } from '@ambit/proto/workload';
import fc from 'fast-check';
import { decoded, ip, service, workload } from './mesh.fixture.ts';
import { MeshState } from './mesh-state.ts';

const NETWORKS = ['', 'net'];
const ADDRESSES = ['10.0.0.1', '10.0.0.2', 'fd00::1'];
const BLOCKS = ['10.0.0.0/8', '10.0.0.0/30', 'fd00::/16'];
const UIDS = ['c//Pod/shop/a', 'c//Pod/shop/b', 'c/WorkloadEntry/shop/a', 'plain'];
const SERVICES = ['shop/x', 'shop/y', 'eu/x'];
const POLICIES = ['shop/p', 'shop/q', 'eu/p'];
const LOCAL_NODE = 'n1';

const onNetworks = (texts: readonly string[]) => texts.flatMap((text) => [text, `net|${text}`]);

const workloads = fc
  .record({
    uid: fc.constantFrom(...UIDS),
    name: fc.constantFrom('a', 'b'),
    ips: fc.uniqueArray(fc.constantFrom(...ADDRESSES), { maxLength: 2 }),
    network: fc.constantFrom(...NETWORKS),
    hostname: fc.constantFrom('', 'h'),
    node: fc.constantFrom(LOCAL_NODE, 'n2'),
    serviceAccount: fc.constantFrom('s', 't'),
    tunnelProtocol: fc.constantFrom(TunnelProtocol.NONE, TunnelProtocol.HBONE),
    networkMode: fc.constantFrom(NetworkMode.STANDARD, NetworkMode.STANDARD, NetworkMode.HOST_NETWORK),
    status: fc.constantFrom(WorkloadStatus.HEALTHY, WorkloadStatus.UNHEALTHY),
    services: fc.dictionary(fc.constantFrom(...SERVICES), fc.constant([[80, 8080] as const])),
    authorizationPolicies: fc.uniqueArray(fc.constantFrom(...POLICIES), { maxLength: 2 }),
  })
  .map(({ uid, ...given }) => workload(uid, given));

const services = fc
  .record({
    key: fc.constantFrom(...SERVICES),
    vips: fc.uniqueArray(fc.constantFrom(...onNetworks(ADDRESSES), ...onNetworks(BLOCKS)), { maxLength: 3 }),
    canonical: fc.boolean(),
    healthPolicy: fc.constantFrom(LoadBalancing_HealthPolicy.ONLY_HEALTHY, LoadBalancing_HealthPolicy.ALLOW_ALL),
  })
  .map(({ key, vips, canonical, healthPolicy }) => service(key, { vips, canonical, loadBalancing: { healthPolicy } }));

const policies = fc
  .record({ key: fc.constantFrom(...POLICIES), action: fc.constantFrom('ALLOW' as const, 'DENY' as const) })
  .map(({ key, action }): Policy => {
    const [namespace = '', name = ''] = key.split('/');
    return { namespace, name, action, scope: 'namespace', dryRun: false, rules: [] };
  });

const steps = fc.array(
  fc.oneof(
    fc.record({
      upserts: fc.array(fc.oneof(workloads, services), { maxLength: 3 }),
      removedNames: fc.array(fc.constantFrom(...UIDS, ...SERVICES), { maxLength: 2 }),
    }),
    fc.record({
      policies: fc.array(policies, { maxLength: 2 }),
      removedNames: fc.array(fc.constantFrom(...POLICIES), { maxLength: 2 }),
    }),
  ),
  { maxLength: 12 },
);

/** What is left, in the order in which it came last. */
class Survivors {
  readonly addresses = new Map<string, Workload | Service>();
  readonly policies = new Map<string, Policy>();

  upsert(given: Workload | Service): void {
    const key = 'uid' in given ? given.uid : serviceKey(given);
    this.addresses.delete(key);
    this.addresses.set(key, given);
  }
}

/** Every answer, as text. */
function answersOf(state: MeshState) {
  const uid = (found: Workload | null) => found?.uid ?? null;
  const names = (found: readonly Service[]) => found.map(serviceKey);
  const places = NETWORKS.flatMap((network) => ADDRESSES.map((address) => [network, ip(address)] as const));
  const known = SERVICES.map((key) => {
    const [namespace = '', hostname = ''] = key.split('/');
    return state.serviceByHostname({ namespace, hostname });
  });
  const infos = ['a', 'b'].flatMap((name) => ['s', 't'].map((serviceAccount) => ({ name, serviceAccount })));
  const { indexEntries, workloads, services } = state.sizes();
  return {
    sizes: { indexEntries, workloads, services },
    workloads: [...state.workloads()],
    services: [...state.services()].map(serviceKey).sort(),
    byAddress: places.map(([network, address]) => uid(state.workloadByAddress(network, address))),
    byVip: places.map(([network, address]) => names(state.servicesByVip(network, address))),
    byCidr: places.map(([network, address]) =>
      state.servicesByCidr(network, address).map((one) => `${serviceKey(one.service)} ${one.prefixBits}`),
    ),
    byHostname: ['x', 'y'].map((hostname) => names(state.servicesByHostname(hostname))),
    workloadByHostname: uid(state.workloadByHostname({ namespace: 'shop', hostname: 'h' })),
    endpoints: known.map((found) => (found === null ? null : state.endpoints(found))),
    local: infos.map((info) => uid(state.localWorkload({ ...info, namespace: 'shop' }))),
    policies: POLICIES.map((key) => state.policies.get(key)?.policy),
  };
}

test('any sequence of updates answers as one update with what is left', () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const state = new MeshState({ localNode: LOCAL_NODE });
      const left = new Survivors();
      for (const step of sequence) {
        if ('policies' in step) {
          state.applyPolicies({ upserts: step.policies, removedNames: step.removedNames });
          for (const policy of step.policies) left.policies.set(policyKey(policy), policy);
          for (const name of step.removedNames) left.policies.delete(name);
          assert.deepEqual(missingPolicies(state.policies, step.removedNames), []);
        } else {
          state.applyAddresses({ upserts: step.upserts.map(decoded), removedNames: step.removedNames });
          for (const given of step.upserts) left.upsert(given);
          for (const name of step.removedNames) left.addresses.delete(name);
        }
        // Also between updates: an answer that is kept must not outlive its reason.
        answersOf(state);
      }
      const cold = new MeshState({ localNode: LOCAL_NODE });
      cold.applyAddresses({ upserts: [...left.addresses.values()].map(decoded), removedNames: [] });
      cold.applyPolicies({ upserts: [...left.policies.values()], removedNames: [] });
      assert.deepEqual(answersOf(state), answersOf(cold));

      state.applyAddresses({ upserts: [], removedNames: [...UIDS, ...SERVICES] });
      assert.deepEqual(state.sizes().indexEntries, 0);
    }),
    { numRuns: 500 },
  );
});

test('the answers are those of looking at everything', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(workloads, services), { maxLength: 12 }), (given) => {
      const left = new Survivors();
      for (const one of given) left.upsert(one);
      const state = new MeshState({ localNode: LOCAL_NODE });
      state.applyAddresses({ upserts: given.map(decoded), removedNames: [] });
      const all = [...left.addresses.values()];
      const pods = all.filter((one): one is Workload => 'uid' in one);
      const found = all
        .filter((one): one is Service => !('uid' in one))
        .sort((a, b) => (serviceKey(a) < serviceKey(b) ? -1 : 1));
      for (const network of NETWORKS) {
        for (const address of ADDRESSES.map(ip)) {
          const there = pods.filter(
            (pod) => !pod.isHostNetwork && pod.network === network && pod.addresses.some((own) => own.equals(address)),
          );
          const rank = ({ uid, tunnelProtocol }: Workload) =>
            (uid.includes('//Pod/') ? 2 : 0) + (tunnelProtocol === 'hbone' ? 1 : 0);
          const best = there.reduce<Workload | null>(
            (top, pod) => (top === null || rank(pod) >= rank(top) ? pod : top),
            null,
          );
          assert.equal(state.workloadByAddress(network, address)?.uid, best?.uid);
          const exact = found.filter(({ vips }) =>
            vips.some((own) => own.network === network && own.ip.equals(address)),
          );
          assert.deepEqual(state.servicesByVip(network, address), exact);
        }
      }
      for (const one of found) {
        const members = pods.filter(
          (pod) => pod.services.has(serviceKey(one)) && (pod.isHealthy || one.loadBalancing.allowsUnhealthy),
        );
        assert.deepEqual(
          state.endpoints(one).map(({ workload: { uid } }) => uid),
          members.map(({ uid }) => uid),
        );
      }
    }),
    { numRuns: 300 },
  );
});
