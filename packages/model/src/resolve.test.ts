import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { formatIdentity } from './identity.ts';
import { byAddress, byName, ip, meshOf, ports, service, vip, workload } from './mesh-index.fixture.ts';
import { type OutboundCall, type Resolution, resolve } from './resolve.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

const SOURCE = workload('source', { addresses: [ip('10.0.0.9')] });
const OWN_PORTS = [15_001, 15_006, 15_008];

function resolveCall(
  destination: string,
  workloads: readonly Workload[],
  services: readonly Service[] = [],
  given: Partial<OutboundCall> = {},
): Resolution {
  const port = given.destinationPort ?? 80;
  const call = { source: SOURCE, network: '', clientIp: ip('10.0.0.9'), ownPorts: OWN_PORTS, ...given };
  return resolve(
    meshOf(workloads, services),
    { ...call, destinationIp: ip(destination), destinationPort: port },
    seededRng(1),
  );
}

/** `hbone web 10.0.0.1:8080 as web,san`, so that a table can be read. */
function told(resolution: Resolution): string {
  if (resolution.is === 'passthrough') return 'passthrough';
  if (resolution.is === 'reject') return `reject ${resolution.code}: ${resolution.reason}`;
  const { is, workload: hop, host, port } = resolution;
  const name = (identity: Parameters<typeof formatIdentity>[0]) => formatIdentity(identity).split('/').at(-1);
  const to = `${is} ${hop.name} ${host.is === 'ip' ? host.ip : host.hostname}:${port}`;
  if (resolution.is === 'direct') return to;
  const as = `${to} as ${resolution.identities.map(name).join(',')}`;
  return resolution.is === 'double'
    ? `${as} inner ${resolution.innerIdentities.map(name).join(',')} for ${resolution.service.hostname}`
    : as;
}

const endpointOf = (hostname: string) => new Map([[`shop/${hostname}`, ports()]]);
const web = workload('web', { addresses: [ip('10.0.0.1')], services: endpointOf('svc.shop') });
const tcp = workload('tcp', { addresses: [ip('10.0.0.2')], tunnelProtocol: 'none' });
const waypoint = workload('waypoint', { addresses: [ip('10.0.0.7')], services: endpointOf('wp.shop') });
const waypointService = service('wp', {
  vips: [vip('10.96.0.7')],
  ports: ports([15_008, 15_008]),
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/wp-san', 'not an id'],
});
const svc = service('svc', { vips: [vip('10.96.0.1')], subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/san'] });
const gateway = workload('gateway', { addresses: [ip('10.0.0.8')], network: '' });
const remote = workload('remote', {
  network: 'far',
  networkGateway: byAddress('10.0.0.8', 15_443),
  services: endpointOf('svc.shop'),
});

test('the proxy does not call itself, but its ports elsewhere are others', () => {
  for (const destination of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
    const resolution = resolveCall(destination, [], [], { destinationPort: 15_006 });
    assert.equal(told(resolution), 'reject self-call: attempted recursive call to ourselves', destination);
  }
  assert.equal(told(resolveCall('127.0.0.1', [])), 'passthrough');
  assert.equal(told(resolveCall('10.0.0.77', [], [], { destinationPort: 15_008 })), 'passthrough');
});

describe('without a waypoint', () => {
  const cases: [string, string, readonly Workload[], readonly Service[], string][] = [
    ['an address nobody has is passed through', '1.2.3.4', [web], [svc], 'passthrough'],
    ['a workload is called over HBONE', '10.0.0.1', [web], [], 'hbone web 10.0.0.1:80 as web'],
    ['a workload that speaks none is called as it is', '10.0.0.2', [tcp], [], 'direct tcp 10.0.0.2:80'],
    [
      'a workload on the network of its node is not found by address',
      '10.0.0.1',
      [{ ...web, isHostNetwork: true }],
      [],
      'passthrough',
    ],
    ['but as an endpoint', '10.96.0.1', [{ ...web, isHostNetwork: true }], [svc], 'hbone web 10.0.0.1:8080 as san,web'],
    ['a workload of another network is not found', '10.0.0.1', [{ ...web, network: 'far' }], [], 'passthrough'],
    ['a service leads to an endpoint and its port', '10.96.0.1', [web], [svc], 'hbone web 10.0.0.1:8080 as san,web'],
    [
      'a service without an endpoint is rejected',
      '10.96.0.1',
      [],
      [svc],
      'reject no-healthy-upstream: no healthy upstream: 10.96.0.1:80',
    ],
    [
      'so is a port that it lacks',
      '10.96.0.1',
      [web],
      [{ ...svc, ports: ports([81, 8080]) }],
      'reject no-healthy-upstream: no healthy upstream: 10.96.0.1:80',
    ],
    [
      'a service in PASSTHROUGH is passed through',
      '10.96.0.1',
      [web],
      [{ ...svc, loadBalancing: { ...svc.loadBalancing, mode: 'passthrough' } }],
      'passthrough',
    ],
    [
      'a service is routed to before a workload of the same address',
      '10.0.0.1',
      [web, tcp],
      [{ ...svc, vips: [vip('10.0.0.1')] }],
      'hbone web 10.0.0.1:8080 as san,web',
    ],
    [
      'a workload with a name is resolved by who dials',
      '10.96.0.1',
      [{ ...web, addresses: [], hostname: 'h' }],
      [svc],
      'hbone web h:8080 as san,web',
    ],
    [
      'a workload of no allowed address is rejected',
      '10.96.0.1',
      [web],
      [{ ...svc, ipFamilies: 'ipv6' }],
      'reject no-valid-destination: no valid routing destination for workload: c//Pod/shop/web',
    ],
  ];
  for (const [name, destination, workloads, services, expected] of cases) {
    test(name, () => assert.equal(told(resolveCall(destination, workloads, services)), expected));
  }

  test('an IPv6 destination is in brackets where it is told', () => {
    const services = [{ ...svc, vips: [vip('fd00::1')] }];
    assert.match(told(resolveCall('fd00::1', [], services)), /no healthy upstream: \[fd00::1\]:80$/);
  });

  test('of two families that of the caller is taken, if the service allows it', () => {
    const dual = { ...web, addresses: [ip('10.0.0.1'), ip('fd00::a')] };
    const services = (ipFamilies: Service['ipFamilies']) => [
      { ...svc, ipFamilies, vips: [vip('10.96.0.1'), vip('fd00::1')] },
    ];
    const hostOf = (destination: string, ipFamilies: Service['ipFamilies']) => {
      const resolution = resolveCall(destination, [dual], services(ipFamilies));
      return resolution.is === 'hbone' && resolution.host.is === 'ip' ? String(resolution.host.ip) : told(resolution);
    };
    assert.deepEqual(
      ['automatic', 'dual', 'ipv4', 'ipv6'].map((families) => hostOf('fd00::1', families as 'dual')),
      ['fd00::a', 'fd00::a', '10.0.0.1', 'fd00::a'],
    );
    assert.deepEqual(
      ['automatic', 'dual', 'ipv4', 'ipv6'].map((families) => hostOf('10.96.0.1', families as 'dual')),
      ['10.0.0.1', '10.0.0.1', '10.0.0.1', 'fd00::a'],
    );
  });

  test('a name is to be resolved in the family of the caller', () => {
    const resolution = resolveCall(
      'fd00::1',
      [{ ...web, addresses: [], hostname: 'h' }],
      [{ ...svc, vips: [vip('fd00::1')] }],
    );
    assert.deepEqual(resolution.is === 'hbone' && resolution.host, {
      is: 'hostname',
      hostname: 'h',
      prefersIpv6: true,
    });
  });
});

describe('a service with a waypoint', () => {
  const guarded = (given: Partial<Service>) => [{ ...svc, ...given }, waypointService];
  const all = [web, waypoint];
  const cases: [string, Partial<Service>, readonly Workload[], string][] = [
    [
      'is called through it, by its service name',
      { waypoint: byName('wp.shop') },
      all,
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
    [
      'by its service address',
      { waypoint: byAddress('10.96.0.7') },
      all,
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
    [
      'by the address of the workload, port as it is',
      { waypoint: byAddress('10.0.0.7', 25_008) },
      all,
      'waypoint waypoint 10.0.0.7:25008 as waypoint',
    ],
    [
      'by the name of a workload',
      { waypoint: byName('host') },
      [web, { ...waypoint, hostname: 'host' }],
      'waypoint waypoint 10.0.0.7:15008 as waypoint',
    ],
    [
      'in the clear as little as any: its protocol is not asked',
      { waypoint: byName('wp.shop') },
      [{ ...waypoint, tunnelProtocol: 'none' }],
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
    [
      'also in PASSTHROUGH',
      { waypoint: byName('wp.shop'), loadBalancing: { ...svc.loadBalancing, mode: 'passthrough' } },
      all,
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
    [
      'never goes around one that is not known',
      { waypoint: byName('gone.shop') },
      all,
      'reject unknown-waypoint: unknown waypoint: shop/gone.shop port 15008',
    ],
    [
      'nor around one without endpoints',
      { waypoint: byName('wp.shop') },
      [web],
      'reject unknown-waypoint: unknown waypoint: shop/wp.shop port 15008',
    ],
    [
      'nor around an address nobody has',
      { waypoint: byAddress('10.5.5.5') },
      all,
      'reject unknown-waypoint: unknown waypoint: /10.5.5.5 port 15008',
    ],
    [
      'takes a weighted one',
      { weightedWaypoints: [{ destination: byName('wp.shop'), weight: 1 }], waypoint: byName('gone.shop') },
      all,
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
    [
      'or the one, if the weighted have no weight',
      { weightedWaypoints: [{ destination: byName('gone.shop'), weight: 0 }], waypoint: byName('wp.shop') },
      all,
      'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint',
    ],
  ];
  for (const [name, given, workloads, expected] of cases) {
    test(name, () => assert.equal(told(resolveCall('10.96.0.1', workloads, guarded(given))), expected));
  }

  test('keeps the service that was called', () => {
    const resolution = resolveCall('10.96.0.1', all, guarded({ waypoint: byName('wp.shop') }));
    assert.equal(resolution.is === 'waypoint' && resolution.service?.hostname, 'svc.shop');
  });
});

describe('a workload with a waypoint', () => {
  const guarded = { ...web, waypoint: byName('wp.shop') };
  const from = (source: Workload, clientIp: string, services = [svc, waypointService], destination = '10.0.0.1') =>
    told(resolveCall(destination, [guarded, waypoint], services, { source, clientIp: ip(clientIp) }));

  test('is called through it', () =>
    assert.equal(from(SOURCE, '10.0.0.9'), 'waypoint waypoint 10.0.0.7:15008 as wp-san,waypoint'));
  test('but not by the waypoint itself', () =>
    assert.equal(from(waypoint, '10.0.0.7'), 'hbone web 10.0.0.1:80 as web'));
  test('who has its identity and not its address is not the waypoint', () => {
    assert.match(from(waypoint, '10.0.0.9'), /^waypoint /);
  });
  test('nor who has its address and not its identity', () => assert.match(from(SOURCE, '10.0.0.7'), /^waypoint /));
  test('is called directly as endpoint of a service without one', () => {
    assert.equal(from(SOURCE, '10.0.0.9', [svc, waypointService], '10.96.0.1'), 'hbone web 10.0.0.1:8080 as san,web');
  });
  test('is not called around one that is not known', () =>
    assert.match(from(SOURCE, '10.0.0.9', []), /^reject unknown-waypoint/));
});

describe('another network', () => {
  test('is reached through its gateway, in two tunnels, for the service that was called', () => {
    const resolution = resolveCall('10.96.0.1', [remote, gateway], [svc]);
    assert.equal(told(resolution), 'double gateway 10.0.0.8:15443 as gateway inner san for svc.shop');
  });
  test('is reached through its gateway, also to a waypoint there', () => {
    const far = { ...waypoint, network: 'far', networkGateway: byAddress('10.0.0.8', 15_443) };
    const resolution = resolveCall(
      '10.96.0.1',
      [far, gateway],
      [{ ...svc, waypoint: byName('wp.shop') }, waypointService],
    );
    assert.equal(told(resolution), 'double gateway 10.0.0.8:15443 as gateway inner wp-san for svc.shop');
  });
  test('is not reached without a gateway', () => {
    const resolution = resolveCall(
      '10.96.0.1',
      [{ ...remote, addresses: [ip('10.7.7.7')], networkGateway: null }],
      [svc],
    );
    assert.match(told(resolution), /^reject no-valid-destination: .* c\/\/Pod\/shop\/remote$/);
  });
  test('is not reached through one that is not known', () => {
    assert.equal(
      told(resolveCall('10.96.0.1', [remote], [svc])),
      'reject unknown-gateway: unknown network gateway: /10.0.0.8 port 15443',
    );
  });
  test('nobody is accepted at the inner end of a service without names', () => {
    const resolution = resolveCall('10.96.0.1', [remote, gateway], [{ ...svc, subjectAltNames: [] }]);
    assert.deepEqual(resolution.is === 'double' && resolution.innerIdentities, []);
  });
});

test('who is called is looked up on the network of the proxy, the way there on that of the source', () => {
  const source = { ...SOURCE, network: 'net' };
  const endpoint = { ...web, network: 'net' };
  const both = { ...svc, vips: [vip('10.96.0.1'), vip('10.96.0.1', 'net')] };
  assert.equal(told(resolveCall('10.96.0.1', [endpoint], [both], { source })), 'hbone web 10.0.0.1:8080 as san,web');
  const unseen = { ...svc, vips: [vip('10.96.0.1')] };
  assert.match(told(resolveCall('10.96.0.1', [endpoint], [unseen], { source })), /^reject no-healthy-upstream/);
  const passed = { ...svc, vips: [vip('10.96.0.1', 'net')] };
  assert.equal(told(resolveCall('10.96.0.1', [endpoint], [passed], { source })), 'hbone web 10.0.0.1:8080 as san,web');
});
