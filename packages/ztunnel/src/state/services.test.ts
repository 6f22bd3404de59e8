/** The rows "Services" and "State/LB" of the tests that pin Istio's ztunnel; each has its name. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { chooseEndpoint, type ResolutionMode } from '@ambit/model/choose-endpoint';
import { bestService, bestServiceByVip } from '@ambit/model/mesh-index';
import type { Service } from '@ambit/model/service';
import {
  ApplicationTunnel_Protocol,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  Service_Visibility,
} from '@ambit/proto/workload';
import { apply, ip, meshOf, service, type WorkloadGiven, workload } from './mesh.fixture.ts';

const NAMESPACE_ONLY = Service_Visibility.NAMESPACE;

interface LookupCase {
  readonly given: readonly Service[];
  readonly address?: string;
  readonly network?: string;
  readonly from?: string | null;
  /** Hostname. */
  readonly found: string | null;
}

const exact = service('ns/exact', { vips: ['10.0.0.1'] });
const a = service('a/a', { vips: ['10.0.0.1'] });
const b = service('b/b', { vips: ['10.0.0.1'] });
const block = (key: string, cidr: string, given = {}) => service(key, { vips: [cidr], ...given });

/** By ztunnel's names. */
const LOOKUPS: Readonly<Record<string, LookupCase>> = {
  'shared_vip_different_namespaces: the own one': { given: [a, b], from: 'b', found: 'b' },
  'shared_vip_different_namespaces: else the canonical one': {
    given: [a, service('b/b', { vips: ['10.0.0.1'], canonical: true })],
    from: 'c',
    found: 'b',
  },
  'shared_vip_different_namespaces: else the first by name, in whatever order they came': {
    given: [b, a],
    from: 'c',
    found: 'a',
  },
  'namespace_visibility_vip: not from elsewhere': {
    given: [service('a/a', { vips: ['10.0.0.1'], visibility: NAMESPACE_ONLY })],
    from: 'c',
    found: null,
  },
  'namespace_visibility_vip: from its namespace': {
    given: [service('a/a', { vips: ['10.0.0.1'], visibility: NAMESPACE_ONLY }), b],
    from: 'a',
    found: 'a',
  },
  'namespace_visibility_vip: without a namespace everything': {
    given: [service('a/a', { vips: ['10.0.0.1'], visibility: NAMESPACE_ONLY })],
    from: null,
    found: 'a',
  },
  visibility_filtered_exact_vip_falls_through_to_cidr: {
    given: [service('a/a', { vips: ['10.0.0.1'], visibility: NAMESPACE_ONLY }), block('b/b', '10.0.0.0/8')],
    from: 'c',
    found: 'b',
  },
  cidr_match_v4: { given: [block('a/a', '10.0.0.0/24')], address: '10.0.0.77', found: 'a' },
  'cidr_match_v4: beyond the block': { given: [block('a/a', '10.0.0.0/24')], address: '10.0.1.0', found: null },
  cidr_match_v6: { given: [block('a/a', 'fd00:1::/32')], address: 'fd00:1:ffff::1', found: 'a' },
  'cidr_match_v6: beyond the block': { given: [block('a/a', 'fd00:1::/32')], address: 'fd00:2::1', found: null },
  longest_prefix_match_v4: { given: [block('a/8', '10.0.0.0/8'), block('b/24', '10.0.0.0/24')], found: '24' },
  longest_prefix_match_v6: {
    given: [block('a/16', 'fd00::/16'), block('b/64', 'fd00::/64')],
    address: 'fd00::1',
    found: '64',
  },
  'exact_v6: every part of the address counts': {
    given: [
      'fd01::',
      'fd00:1::',
      'fd00:0:1::',
      'fd00:0:0:1::',
      'fd00::1:0:0:0',
      'fd00::1:0:0',
      'fd00::1:0',
      'fd00::1',
    ].map((address) => service(`a/${address}`, { vips: [address] })),
    address: 'fd00::1:0',
    found: 'fd00::1:0',
  },
  cidr_family_mismatch: { given: [block('a/a', '0.0.0.0/0')], address: 'fd00::1', found: null },
  'cidr_family_mismatch: the other way': { given: [block('a/a', '::/0')], found: null },
  exact_v4_with_cidr_v6: {
    given: [service('a/a', { vips: ['10.0.0.1', 'fd00::/8'] })],
    address: 'fd00::9',
    found: 'a',
  },
  exact_match_priority_over_cidr_v4: { given: [block('ns/block', '10.0.0.0/31'), exact], from: 'ns', found: 'exact' },
  exact_match_priority_over_cidr_v6: {
    given: [block('ns/block', 'fd00::/127'), service('ns/exact', { vips: ['fd00::1'] })],
    address: 'fd00::1',
    found: 'exact',
  },
  cidr_network_scoping: { given: [block('a/a', 'far|10.0.0.0/8')], network: 'far', found: 'a' },
  'cidr_network_scoping: not on another': { given: [block('a/a', 'far|10.0.0.0/8')], found: null },
  overlapping_cidr_different_namespaces: {
    given: [block('a/a', '10.0.0.0/8'), block('b/b', '10.0.0.0/8')],
    from: 'b',
    found: 'b',
  },
  'overlapping_cidr_different_namespaces: else the canonical one': {
    given: [block('a/a', '10.0.0.0/8'), block('b/b', '10.0.0.0/8', { canonical: true })],
    from: 'c',
    found: 'b',
  },
  cidr_namespace_preferred_over_cidr_specificity: {
    given: [block('a/24', '10.0.0.0/24'), block('b/8', '10.0.0.0/8')],
    from: 'b',
    found: '8',
  },
};

for (const [name, { given, address = '10.0.0.1', network = '', from = 'ns', found }] of Object.entries(LOOKUPS)) {
  test(name, () => {
    assert.equal(bestServiceByVip(meshOf(given), network, ip(address), from)?.hostname ?? null, found);
    assert.equal(bestServiceByVip(meshOf(given.toReversed()), network, ip(address), from)?.hostname ?? null, found);
  });
}

test('cidr_remove_cleanup: a service that is removed, or comes again elsewhere, leaves no address behind', () => {
  const given = { vips: ['10.0.0.1', '10.0.0.1', 'fd00::1', '10.0.0.0/8', 'fd00::/8'] };
  const state = meshOf([service('a/a', given)]);
  assert.equal(state.servicesByVip('', ip('10.0.0.1')).length, 1);
  apply(state, [service('a/a', { vips: ['10.9.9.9'] })]);
  for (const address of ['10.0.0.1', 'fd00::1', '10.1.1.1']) {
    assert.equal(bestServiceByVip(state, '', ip(address), null), null);
  }
  assert.equal(bestServiceByVip(state, '', ip('10.9.9.9'), null)?.name, 'a');
  apply(state, [service('a/a', given)], 'a/a');
  assert.equal(state.sizes().indexEntries, 0);
});

test('namespace_visibility_host: by name a service is found in its namespace, and by all if it is public', () => {
  const hidden = service('a/shared', { visibility: NAMESPACE_ONLY, canonical: true });
  const state = meshOf([hidden, service('b/shared'), service('c/shared')]);
  const best = (namespace: string) => bestService(state.servicesByHostname('shared'), namespace)?.namespace;
  assert.deepEqual(['a', 'b', 'c', 'd'].map(best), ['a', 'b', 'c', 'b']);
  assert.deepEqual(state.servicesByHostname('other'), []);
  assert.equal(state.serviceByHostname({ namespace: 'c', hostname: 'shared' })?.namespace, 'c');
  apply(state, [], 'b/shared');
  assert.equal(best('d'), 'c');
});

test('the services of a workload are those that it names and that are known', () => {
  const pod = workload('u', { services: { 'a/a': [], 'b/not-known': [] } });
  const state = meshOf([service('a/a'), service('c/c'), pod]);
  assert.deepEqual(
    state.servicesOf(pod).map(({ hostname }) => hostname),
    ['a'],
  );
});

describe('find_upstream_port_mappings: the port of the application is', () => {
  const TUNNEL = { protocol: ApplicationTunnel_Protocol.PROXY, port: 15088 };
  const portOf = (ports: readonly [number, number][], given: WorkloadGiven, mode: ResolutionMode = 'standard') => {
    const called = service('shop/svc', { ports });
    const state = meshOf([called, workload('u', { ips: ['10.0.0.1'], ...given })]);
    return chooseEndpoint(state, workload('client'), called, 80, mode, seededRng(1))?.port ?? null;
  };
  const cases: [string, number | null, number | null][] = [
    ['that of the endpoint', portOf([[80, 1]], { services: { 'shop/svc': [[80, 2]] } }), 2],
    ['else that of the service', portOf([[80, 1]], { services: { 'shop/svc': [[81, 2]] } }), 1],
    ['else none', portOf([[80, 0]], { services: { 'shop/svc': [] } }), null],
    ['none, when the service has no such port', portOf([[81, 1]], { services: { 'shop/svc': [[80, 2]] } }), null],
    [
      'that of the call, for a waypoint with a tunnel of its own',
      portOf([], { services: { 'shop/svc': [] }, applicationTunnel: TUNNEL }, 'waypoint'),
      80,
    ],
  ];
  for (const [name, found, expected] of cases) test(name, () => assert.equal(found, expected));
});

describe('test_load_balance', () => {
  const { NETWORK, REGION, ZONE } = LoadBalancing_Scope;
  const { STRICT, FAILOVER, UNSPECIFIED_MODE } = LoadBalancing_Mode;
  const at = (uid: string, region: string, zone: string, network = '') =>
    workload(uid, { ips: ['10.0.0.1'], network, locality: { region, zone }, services: { 'shop/svc': [] } });
  const near = at('near', 'r1', 'z1');
  const sameRegion = at('same-region', 'r1', 'z2');
  const far = at('far', 'r2', 'z2');
  const elsewhere = at('elsewhere', 'r1', 'z1', 'other');
  const client = workload('client', { locality: { region: 'r1', zone: 'z1' } });
  /** All that are chosen in many draws. */
  const chosen = (
    routingPreference: LoadBalancing_Scope[],
    mode: LoadBalancing_Mode,
    ...given: ReturnType<typeof at>[]
  ) => {
    const called = service('shop/svc', { loadBalancing: { routingPreference, mode } });
    const state = meshOf([called, ...given]);
    const rng = seededRng(7);
    const draw = () => chooseEndpoint(state, client, called, 80, 'standard', rng)?.workload.uid ?? null;
    return [...new Set(Array.from({ length: 100 }, draw))].sort();
  };
  const all = [near, sameRegion, far, elsewhere];
  const cases: [string, (string | null)[], (string | null)[]][] = [
    ['strict region', chosen([REGION], STRICT, near, sameRegion, far), ['near', 'same-region']],
    ['strict and nobody there', chosen([REGION], STRICT, far), [null]],
    ['failover zone', chosen([REGION, ZONE], FAILOVER, ...all.slice(0, 3)), ['near']],
    ['failover region', chosen([REGION, ZONE], FAILOVER, sameRegion, far), ['same-region']],
    ['failover to anywhere', chosen([REGION, ZONE], FAILOVER, far), ['far']],
    ['network first', chosen([NETWORK, REGION, ZONE], FAILOVER, far, elsewhere), ['far']],
    ['no preference', chosen([], UNSPECIFIED_MODE, ...all), ['elsewhere', 'far', 'near', 'same-region']],
  ];
  for (const [name, found, expected] of cases) test(name, () => assert.deepEqual(found, expected));
});
