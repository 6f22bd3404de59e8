/** The shape of a local mesh file, as the real ztunnel takes it, and where what is wrong is said to be. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { parseCidr, parseIpAddress } from '@ambit/model/ip-address';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { ANY_ADDRESSES, generateRbacWorld, LOOPBACK_ADDRESSES } from '@ambit/testkit/rbac-pairs';
import { formatZtunnelFile } from '@ambit/testkit/ztunnel-file';
import { readLocalMesh } from './read-mesh.ts';

const read = (text: string) => readLocalMesh(text, 'mesh.yaml');

function workloadOf(text: string): Workload {
  const [first] = read(`workloads:\n- ${text}`).addresses;
  assert.ok(first?.is === 'workload');
  return first.workload;
}

function serviceOf(text: string): Service {
  const [first] = read(`services:\n- ${text}`).addresses;
  assert.ok(first?.is === 'service');
  return first.service;
}

test('every world of the generator is read as it was written', () => {
  for (const options of [LOOPBACK_ADDRESSES, ANY_ADDRESSES]) {
    for (let seed = 0; seed < 100; seed += 1) {
      const world = generateRbacWorld(seed, options);
      const { addresses, policies } = read(formatZtunnelFile(world));
      assert.deepEqual(policies, world.policies);
      assert.ok(addresses.length === 1 && addresses[0]?.is === 'workload');
      const { namespace, serviceAccount, name, addresses: ips, authorizationPolicies } = addresses[0].workload;
      assert.deepEqual({ namespace, serviceAccount, name, addresses: ips, authorizationPolicies }, world.destination);
    }
  }
});

test('a small workload has the defaults of xDS', () => {
  const workload = workloadOf('{uid: u, namespace: n, workloadIps: [10.0.0.1, "fd00::1"], services: {}}');
  assert.deepEqual(workload, {
    uid: 'u',
    name: '',
    namespace: 'n',
    addresses: [parseIpAddress('10.0.0.1'), parseIpAddress('fd00::1')],
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

const FULL_WORKLOAD = `
    uid: c//Pod/n/w
    name: w
    namespace: n
    serviceAccount: sa
    trustDomain: td
    clusterId: c
    network: net
    node: n1
    workloadIps: ["127.0.0.6"]
    protocol: HBONE
    networkMode: HostNetwork
    hostname: h
    workloadName: wn
    workloadType: job
    canonicalName: cn
    canonicalRevision: cr
    nativeTunnel: true
    status: Unhealthy
    capacity: 7
    locality: {region: r, zone: z, subzone: s}
    applicationTunnel: {protocol: PROXY, port: 15088}
    authorizationPolicies: [n/p]
    waypoint: {destination: "/127.0.0.5", hboneMtlsPort: 25008}
    networkGateway: {destination: "n/gw.n.svc", hboneMtlsPort: 15008}
    services:
      n/svc.n.svc: {80: 8080, 81: 0}`;

test('a full workload keeps what was said', () => {
  const workload = workloadOf(FULL_WORKLOAD);
  const { waypoint, networkGateway, services, addresses, ...rest } = workload;
  assert.deepEqual(waypoint, {
    destination: { is: 'address', network: '', ip: parseIpAddress('127.0.0.5') },
    hbonePort: 25008,
  });
  assert.deepEqual(networkGateway, {
    destination: { is: 'hostname', namespace: 'n', hostname: 'gw.n.svc' },
    hbonePort: 15008,
  });
  assert.deepEqual(
    services,
    new Map([
      [
        'n/svc.n.svc',
        new Map([
          [80, 8080],
          [81, 0],
        ]),
      ],
    ]),
  );
  assert.equal(addresses.length, 1);
  assert.deepEqual(rest, {
    uid: 'c//Pod/n/w',
    name: 'w',
    namespace: 'n',
    hostname: 'h',
    network: 'net',
    tunnelProtocol: 'hbone',
    trustDomain: 'td',
    serviceAccount: 'sa',
    node: 'n1',
    canonicalName: 'cn',
    canonicalRevision: 'cr',
    workloadType: 'job',
    workloadName: 'wn',
    nativeTunnel: true,
    applicationTunnel: { protocol: 'proxy', port: 15088 },
    authorizationPolicies: ['n/p'],
    isHealthy: false,
    clusterId: 'c',
    locality: { region: 'r', zone: 'z', subzone: 's' },
    isHostNetwork: true,
    capacity: 7,
  });
});

test('a small service and a full one', () => {
  const small = serviceOf('{name: s, namespace: n, hostname: h, vips: [], ports: {}}');
  assert.deepEqual(small, {
    name: 's',
    namespace: 'n',
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
  const full = serviceOf(`
    name: s
    namespace: n
    hostname: h
    vips: [/10.0.0.1, "net/fd00::1"]
    cidrVips: [{network: net, cidr: 10.0.0.0/8}]
    ports: {80: 8080}
    subjectAltNames: ["spiffe://td/ns/n/sa/s"]
    weightedWaypoints: [{destination: {destination: n/w, hboneMtlsPort: 15008}, weight: 3}]
    loadBalancer: {routingPreferences: [Network, Region], mode: Failover, healthPolicy: AllowAll}
    ipFamilies: IPv6
    canonical: true
    visibility: Namespace
    endpoints: {}`);
  assert.deepEqual(full, {
    name: 's',
    namespace: 'n',
    hostname: 'h',
    vips: [
      { network: '', ip: parseIpAddress('10.0.0.1') },
      { network: 'net', ip: parseIpAddress('fd00::1') },
    ],
    cidrVips: [{ network: 'net', block: parseCidr('10.0.0.0/8') }],
    ports: new Map([[80, 8080]]),
    subjectAltNames: ['spiffe://td/ns/n/sa/s'],
    waypoint: null,
    weightedWaypoints: [
      { destination: { destination: { is: 'hostname', namespace: 'n', hostname: 'w' }, hbonePort: 15008 }, weight: 3 },
    ],
    loadBalancing: { routingPreference: ['network', 'region'], mode: 'failover', allowsUnhealthy: true },
    ipFamilies: 'ipv6',
    canonical: true,
    visibility: 'namespace',
  });
});

test('an alias stands for what it names', () => {
  const { addresses } = read(
    'workloads:\n- {uid: a, namespace: n, workloadIps: [], services: &s {n/h: {80: 1}}}\n' +
      '- {uid: b, namespace: n, workloadIps: [], services: *s}\n',
  );
  const services = addresses.map((one) => (one.is === 'workload' ? one.workload.services : null));
  assert.deepEqual(services[1], services[0]);
  assert.equal(services[1]?.size, 1);
});

test('an empty mesh is written {}', () => {
  assert.deepEqual(read('{}'), { addresses: [], policies: [] });
  assert.deepEqual(read('workloads:\nservices: []\n'), { addresses: [], policies: [] });
});

describe('what is wrong is said with its place', () => {
  const workload = (more: string) => `workloads:\n- {uid: u, namespace: n, workloadIps: [], services: {}, ${more}}`;
  const policy = (match: string) =>
    `policies:\n- {name: p, namespace: n, scope: Global, action: Allow, dryRun: false,\n   rules: [[[${match}]]]}`;
  const cases: [string, string, string | RegExp][] = [
    ['an unknown key', workload('protocl: HBONE'), '2:57: workloads[0].protocl is not known; did you mean protocol?'],
    ['one that is like no other', workload('colour: red'), '2:57: workloads[0].colour is not known'],
    ['one of the file', '{workload: []}', '1:2: workload is not known; did you mean workloads?'],
    [
      'one of a match, which would make it hold for all',
      policy('{principal: [!Exact "x"]}'),
      '3:15: policies[0].rules[0][0][0].principal is not known; did you mean principals?',
    ],
    ['a field that is missing', 'workloads:\n- {uid: u}', '2:3: workloads[0] has no namespace'],
    ['a word', workload('protocol: TLS'), '2:67: workloads[0].protocol must be one of TCP, HBONE, not "TLS"'],
    ['a number for text', workload('name: 5'), /2:63: workloads\[0\]\.name must be text/],
    ['text for a number', workload('capacity: x'), /capacity must be a whole number from 0 to 4294967295/],
    ['a port', policy('{destinationPorts: [80, 65536]}'), /3:38: .*destinationPorts\[1\] must be a whole number/],
    ['an address', 'workloads:\n- {uid: u, namespace: n, workloadIps: [x]}', /workloadIps\[0\] must be an IP address/],
    ['a block', policy('{sourceIps: [10.0.0.0/33]}'), /sourceIps\[0\] must be an address block/],
    [
      'a VIP without a network',
      'services: [{name: s, namespace: n, hostname: h, vips: [10.0.0.1]}]',
      /vips\[0\] must be network/,
    ],
    [
      'a service without a namespace',
      'workloads:\n- {uid: u, namespace: n, workloadIps: [], services: {h: {}}}',
      /services\[h\] must be named/,
    ],
    ['text without a tag', policy('{principals: ["x"]}'), /principals\[0\] must be written !Exact "x"/],
    ['text with another tag', policy('{principals: [!Regex "x"]}'), /principals\[0\] must be written !Exact "x"/],
    ['presence of something', policy('{principals: [!Presence [x]]}'), /must be written !Presence \[\]/],
    ['a tag where none belongs', workload('name: !Exact "x"'), /name has the tag !Exact/],
    ['a list for a mapping', 'workloads: [[]]', /1:13: workloads\[0\] must be a mapping/],
    ['a mapping for a list', 'workloads: {}', /1:12: workloads must be a list/],
    [
      'a uid that is taken',
      'workloads:\n- &w {uid: u, namespace: n, workloadIps: [], services: {}}\n- *w',
      /workloads\[1\] has a name that is taken: u/,
    ],
    [
      'endpoints',
      'services: [{name: s, namespace: n, hostname: h, vips: [], ports: {}, endpoints: {u: {}}}]',
      /endpoints is not read/,
    ],
    ['no YAML', 'workloads: [', /^mesh.yaml:1:1\d: /],
    ['a key twice', 'workloads: []\nworkloads: []', /2:1: Map keys must be unique/],
    ['nothing at all', '', /is empty \(a mesh with nothing in it is written \{\}\)/],
    ['two documents', '{}\n---\n{}', /^mesh.yaml:\d:\d: /],
  ];
  for (const [name, text, expected] of cases) {
    test(name, () => {
      const message = typeof expected === 'string' ? `mesh.yaml:${expected}` : expected;
      assert.throws(() => read(text), { code: 'LOCAL_FILE_INVALID', message });
    });
  }
});
