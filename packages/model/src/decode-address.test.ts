import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@ambit/proto/protobuf';
import { AddressSchema, type ServiceSchema, type WorkloadSchema } from '@ambit/proto/workload';
import { decodeAddress } from './decode-address.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

type WorkloadInit = MessageInitShape<typeof WorkloadSchema>;
type ServiceInit = MessageInitShape<typeof ServiceSchema>;

const IPV4 = Uint8Array.of(10, 0, 0, 1);
const IPV6 = Uint8Array.from([0xfd, ...new Array<number>(14).fill(0), 1]);
const THREE_BYTES = Uint8Array.of(1, 2, 3);
const GATEWAY = {
  destination: { case: 'hostname', value: { namespace: 'n', hostname: 'h' } },
  hbonePort: 15008,
} as const;

/** Over the wire, so that a number that is in no enum arrives as it would from a stranger. */
function decode(type: MessageInitShape<typeof AddressSchema>['type']) {
  const message = create(AddressSchema, type === undefined ? {} : { type });
  return decodeAddress(fromBinary(AddressSchema, toBinary(AddressSchema, message)));
}

function decodeWorkload(init: WorkloadInit): Workload {
  const decoded = decode({ case: 'workload', value: init });
  assert.ok(decoded.is === 'workload');
  return decoded.workload;
}

function decodeService(init: ServiceInit): Service {
  const decoded = decode({ case: 'service', value: init });
  assert.ok(decoded.is === 'service');
  return decoded.service;
}

function assertRejected(run: () => unknown, reason: RegExp): void {
  assert.throws(run, { code: 'RESOURCE_REJECTED', message: reason });
}

test('an empty workload has the defaults of a control plane that left them out', () => {
  assert.deepEqual(decodeWorkload({ uid: 'u' }), {
    uid: 'u',
    name: '',
    namespace: '',
    addresses: [],
    hostname: '',
    network: '',
    tunnelProtocol: 'none',
    trustDomain: 'cluster.local',
    serviceAccount: 'default',
    waypoint: null,
    networkGateway: null,
    node: '',
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'deployment',
    workloadName: '',
    nativeTunnel: false,
    applicationTunnel: null,
    services: new Map(),
    authorizationPolicies: [],
    isHealthy: true,
    clusterId: 'Kubernetes',
    locality: { region: '', zone: '', subzone: '' },
    isHostNetwork: false,
    capacity: 1,
  });
});

test('a full workload keeps what was said', () => {
  const workload = decodeWorkload({
    uid: 'c//Pod/shop/web-1',
    name: 'web-1',
    namespace: 'shop',
    addresses: [IPV4, IPV6],
    hostname: 'h',
    network: 'net',
    tunnelProtocol: 1,
    trustDomain: 'td',
    serviceAccount: 'web',
    waypoint: { destination: GATEWAY.destination, hboneMtlsPort: 15_008 },
    networkGateway: {
      destination: { case: 'address', value: { network: 'far', address: IPV4 } },
      hboneMtlsPort: 15_443,
    },
    workloadType: 2,
    applicationTunnel: { protocol: 1, port: 15_088 },
    services: { 'shop/web.shop': { ports: [{ servicePort: 80, targetPort: 8080 }] } },
    authorizationPolicies: ['shop/p'],
    status: 1,
    clusterId: 'c',
    locality: { region: 'r', zone: 'z' },
    networkMode: 1,
    capacity: 0,
  });
  assert.deepEqual(workload.addresses.map(String), ['10.0.0.1', 'fd00::1']);
  assert.deepEqual(workload.waypoint, {
    destination: { is: 'hostname', namespace: 'n', hostname: 'h' },
    hbonePort: 15_008,
  });
  const { networkGateway } = workload;
  assert.ok(networkGateway?.destination.is === 'address');
  assert.equal(`${networkGateway.destination.network}/${networkGateway.destination.ip}`, 'far/10.0.0.1');
  assert.deepEqual(workload.applicationTunnel, { protocol: 'proxy', port: 15_088 });
  assert.deepEqual(workload.services, new Map([['shop/web.shop', new Map([[80, 8080]])]]));
  assert.deepEqual(workload.locality, { region: 'r', zone: 'z', subzone: '' });
  const { tunnelProtocol, workloadType, isHealthy, isHostNetwork, capacity, trustDomain, serviceAccount, clusterId } =
    workload;
  assert.deepEqual(
    { tunnelProtocol, workloadType, isHealthy, isHostNetwork, capacity, trustDomain, serviceAccount, clusterId },
    {
      tunnelProtocol: 'hbone',
      workloadType: 'pod',
      isHealthy: false,
      isHostNetwork: true,
      capacity: 0,
      trustDomain: 'td',
      serviceAccount: 'web',
      clusterId: 'c',
    },
  );
});

test('an empty service is public, standard, and asks for healthy endpoints', () => {
  assert.deepEqual(decodeService({ hostname: 'h' }), {
    name: '',
    namespace: '',
    hostname: 'h',
    vips: [],
    cidrVips: [],
    ports: new Map(),
    subjectAltNames: [],
    waypoint: null,
    weightedWaypoints: [],
    loadBalancing: { routingPreference: [], mode: 'standard', allowsUnhealthy: false },
    ipFamilies: 'automatic',
    canonical: false,
    visibility: 'public',
  });
});

test('an address with a prefix is a block, unless the prefix is the whole address', () => {
  const { vips, cidrVips } = decodeService({
    addresses: [
      { address: IPV4 },
      { address: IPV4, length: 32 },
      { address: IPV4, length: 8, network: 'net' },
      { address: IPV6, length: 128 },
      { address: IPV6, length: 32 },
      { address: IPV4, length: 0 },
    ],
  });
  assert.deepEqual(
    vips.map(({ ip }) => String(ip)),
    ['10.0.0.1', '10.0.0.1', 'fd00::1'],
  );
  assert.deepEqual(
    cidrVips.map(({ network, block }) => `${network} ${block}`),
    ['net 10.0.0.1/8', ' fd00::1/32', ' 10.0.0.1/0'],
  );
});

test('load balancing, families and visibility are read', () => {
  const service = decodeService({
    loadBalancing: { routingPreference: [6, 1, 2, 3, 4, 5], mode: 2, healthPolicy: 1 },
    ipFamilies: 3,
    visibility: 1,
    weightedWaypoints: [{ destination: { destination: GATEWAY.destination, hboneMtlsPort: 1 }, weight: 7 }],
  });
  assert.deepEqual(service.loadBalancing, {
    routingPreference: ['network', 'region', 'zone', 'subzone', 'node', 'cluster'],
    mode: 'failover',
    allowsUnhealthy: true,
  });
  assert.deepEqual([service.ipFamilies, service.visibility], ['dual', 'namespace']);
  assert.deepEqual(service.weightedWaypoints, [
    { destination: { destination: { is: 'hostname', namespace: 'n', hostname: 'h' }, hbonePort: 1 }, weight: 7 },
  ]);
});

describe('a workload is rejected with', () => {
  const cases: [string, WorkloadInit, RegExp][] = [
    ['an address of three bytes', { addresses: [THREE_BYTES] }, /addresses: .* 3 bytes/],
    ['an empty address', { addresses: [new Uint8Array()] }, /addresses: .* 0 bytes/],
    ['the tunnel protocol LEGACY_ISTIO_MTLS', { tunnelProtocol: 2 }, /tunnel_protocol: 2/],
    ['an unknown tunnel protocol', { tunnelProtocol: 9 as 0 }, /tunnel_protocol: 9/],
    ['an unknown network mode', { networkMode: 9 as 0 }, /network_mode: 9/],
    ['an unknown status', { status: 9 as 0 }, /status: 9/],
    ['an unknown application tunnel', { applicationTunnel: { protocol: 9 as 0 } }, /application_tunnel: 9/],
    ['a waypoint without a destination', { waypoint: { hboneMtlsPort: 1 } }, /waypoint: no destination/],
    ['a gateway without a destination', { networkGateway: {} }, /network_gateway: no destination/],
    [
      'a waypoint of three bytes',
      { waypoint: { destination: { case: 'address', value: { address: THREE_BYTES } } } },
      /waypoint: .* 3 bytes/,
    ],
    ['a service key without a slash', { services: { host: {} } }, /services: "host"/],
  ];
  for (const [name, init, reason] of cases) test(name, () => assertRejected(() => decodeWorkload(init), reason));
});

describe('a service is rejected with', () => {
  const cases: [string, ServiceInit, RegExp][] = [
    ['an address of three bytes', { addresses: [{ address: THREE_BYTES }] }, /addresses: .* 3 bytes/],
    ['a prefix longer than IPv4', { addresses: [{ address: IPV4, length: 33 }] }, /33 bits/],
    ['a prefix longer than IPv6', { addresses: [{ address: IPV6, length: 129 }] }, /129 bits/],
    ['a prefix that would fit if it were cut to a byte', { addresses: [{ address: IPV4, length: 264 }] }, /264 bits/],
    ['a waypoint without a destination', { waypoint: {} }, /waypoint: no destination/],
    [
      'a weighted waypoint without an address',
      { weightedWaypoints: [{ weight: 1 }] },
      /weighted_waypoints: no destination/,
    ],
    [
      'a weighted waypoint without a destination',
      { weightedWaypoints: [{ destination: {} }] },
      /weighted_waypoints: no destination/,
    ],
    ['the unspecified scope', { loadBalancing: { routingPreference: [0] } }, /routing_preference: 0/],
    ['an unknown scope', { loadBalancing: { routingPreference: [9 as 0] } }, /routing_preference: 9/],
    ['an unknown mode', { loadBalancing: { mode: 9 as 0 } }, /mode: 9/],
    ['an unknown health policy', { loadBalancing: { healthPolicy: 9 as 0 } }, /health_policy: 9/],
    ['unknown address families', { ipFamilies: 9 as 0 }, /ip_families: 9/],
  ];
  for (const [name, init, reason] of cases) test(name, () => assertRejected(() => decodeService(init), reason));
});

test('an address that is neither workload nor service is rejected', () => {
  assertRejected(() => decode(undefined), /neither/);
});

test('tolerated: an unknown visibility is public, an unknown type of workload the default, ports lose their upper bits', () => {
  assert.equal(decodeService({ visibility: 9 as 0 }).visibility, 'public');
  assert.equal(decodeWorkload({ workloadType: 9 as 0 }).workloadType, 'deployment');
  assert.deepEqual(decodeService({ ports: [{ servicePort: 65_616, targetPort: 65_537 }] }).ports, new Map([[80, 1]]));
});
