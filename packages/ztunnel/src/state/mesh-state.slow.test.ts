/** How much memory a mesh of 100,000 workloads takes, as a control plane would describe it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type DecodedAddress, decodeAddress } from '@ambit/model/decode-address';
import { ipAddressOf } from '@ambit/model/ip-address';
import { create, fromBinary, type MessageInitShape, toBinary } from '@ambit/proto/protobuf';
import { AddressSchema, TunnelProtocol, WorkloadStatus, WorkloadType } from '@ambit/proto/workload';
import { MeshState } from './mesh-state.ts';

const WORKLOADS = 100_000;
const PODS_PER_DEPLOYMENT = 20;
const NODES = 1000;
const UPDATE_SIZE = 1000;
const BYTES_PER_WORKLOAD_MAX = 1536;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** In a turn of its own: what the last update had on its stack is held until then. */
async function heapBytes(): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Over the wire, so that no two resources share a string unless somebody makes them. */
function received(type: MessageInitShape<typeof AddressSchema>['type'] & object): DecodedAddress {
  const bytes = toBinary(AddressSchema, create(AddressSchema, { type }));
  return decodeAddress(fromBinary(AddressSchema, bytes));
}

function podOf(index: number, status: WorkloadStatus = WorkloadStatus.HEALTHY): DecodedAddress {
  const deployment = Math.floor(index / PODS_PER_DEPLOYMENT);
  const namespace = `team-${deployment % 200}`;
  const app = `application-${deployment}`;
  const name = `${app}-7d4b9c6f5d-${index.toString(36).padStart(5, 'x')}`;
  const ports = {
    ports: [
      { servicePort: 80, targetPort: 8080 },
      { servicePort: 9090, targetPort: 9090 },
    ],
  };
  const value = {
    uid: `cluster-one//Pod/${namespace}/${name}`,
    name,
    namespace,
    addresses: [Uint8Array.of(10, index >> 16, index >> 8, index)],
    network: 'network-one',
    tunnelProtocol: TunnelProtocol.HBONE,
    trustDomain: 'cluster.local',
    serviceAccount: app,
    node: `node-${index % NODES}.example.internal`,
    canonicalName: app,
    canonicalRevision: 'v1',
    workloadType: WorkloadType.POD,
    workloadName: app,
    services: { [`${namespace}/${app}.${namespace}.svc.cluster.local`]: ports },
    authorizationPolicies: ['istio-system/istio_converted_static_strict'],
    status,
    clusterId: 'cluster-one',
    locality: { region: 'region-1', zone: `region-1${'abc'[index % 3]}`, subzone: '' },
    waypoint: {
      destination: { case: 'hostname' as const, value: { namespace, hostname: 'waypoint' } },
      hboneMtlsPort: 15008,
    },
  };
  return received({ case: 'workload', value });
}

function serviceOf(deployment: number): DecodedAddress {
  const namespace = `team-${deployment % 200}`;
  const name = `application-${deployment}`;
  const address = Uint8Array.of(172, 16, deployment >> 8, deployment);
  const value = {
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    addresses: [{ network: 'network-one', address }],
    ports: [{ servicePort: 80, targetPort: 8080 }],
  };
  return received({ case: 'service', value });
}

test('a workload takes at most 1.5 KB, services and endpoints included, and nothing when it has gone', async (t) => {
  const before = await heapBytes();
  const state = new MeshState({ localNode: 'node-1.example.internal' });
  for (let from = 0; from < WORKLOADS; from += UPDATE_SIZE) {
    const upserts = Array.from({ length: UPDATE_SIZE }, (_, index) => podOf(from + index));
    state.applyAddresses({ upserts, removedNames: [] });
  }
  for (let from = 0; from < WORKLOADS / PODS_PER_DEPLOYMENT; from += UPDATE_SIZE) {
    const upserts = Array.from({ length: UPDATE_SIZE }, (_, index) => serviceOf(from + index));
    state.applyAddresses({ upserts, removedNames: [] });
  }
  // Lists of endpoints are made when they are asked for.
  for (const service of state.services()) assert.equal(state.endpoints(service).length, PODS_PER_DEPLOYMENT);
  const perWorkload = ((await heapBytes()) - before) / WORKLOADS;
  t.diagnostic(`${Math.round(perWorkload)} bytes for each workload`);
  assert.equal(state.sizes().workloads, WORKLOADS);
  assert.equal(
    state.workloadByAddress('network-one', ipAddressOf(Uint8Array.of(10, 0, 0, 7))!)?.name.startsWith('application-0-'),
    true,
  );
  assert.ok(perWorkload < BYTES_PER_WORKLOAD_MAX, `${perWorkload} bytes for each workload`);

  // Every workload changes twice: what it was must not be held by what it has in common with others.
  for (const status of [WorkloadStatus.UNHEALTHY, WorkloadStatus.HEALTHY]) {
    for (let from = 0; from < WORKLOADS; from += UPDATE_SIZE) {
      const upserts = Array.from({ length: UPDATE_SIZE }, (_, index) => podOf(from + index, status));
      state.applyAddresses({ upserts, removedNames: [] });
    }
  }
  const afterChanges = ((await heapBytes()) - before) / WORKLOADS;
  t.diagnostic(`${Math.round(afterChanges)} bytes for each workload after it changed twice`);
  assert.ok(afterChanges < BYTES_PER_WORKLOAD_MAX, `${afterChanges} bytes for each workload after changes`);

  state.applyAddresses({ upserts: [], removedNames: [...state.workloads()].map(({ uid }) => uid) });
  const left = ((await heapBytes()) - before) / WORKLOADS;
  t.diagnostic(`${Math.round(left)} bytes for each workload that has gone`);
  assert.ok(left < BYTES_PER_WORKLOAD_MAX / 10, `${left} bytes for each workload that has gone`);
  assert.equal(state.sizes().workloads, 0);
});
