import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import {
  candidateNames,
  type DnsClient,
  type DnsLookup,
  type DnsRules,
  kubernetesNames,
  lookupName,
  type NameIndex,
  withWildcards,
} from './dns-lookup.ts';
import { parseCidr } from './ip-address.ts';
import { cidrVip, ip, meshOf, ports, service, vip, workload } from './mesh-index.fixture.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

const RULES: DnsRules = { clusterDomain: 'cluster.local', preferredNamespace: 'preferred-ns', ipv6Enabled: true };
const CLIENT: DnsClient = { namespace: 'ns1', network: 'nw1', searchDomains: null };

/** `<name>.<namespace>.svc.cluster.local` with addresses on nw1. */
function inCluster(
  name: string,
  namespace: string,
  addresses: readonly string[],
  given: Partial<Service> = {},
): Service {
  const hostname = `${name}.${namespace}.svc.cluster.local`;
  return service(name, { namespace, hostname, vips: addresses.map((each) => vip(each, 'nw1')), ...given });
}

/** From a ServiceEntry: the hostname is its name. */
function external(hostname: string, addresses: readonly string[], given: Partial<Service> = {}): Service {
  return service(hostname, { namespace: 'ns1', hostname, vips: addresses.map((each) => vip(each, 'nw1')), ...given });
}

const SERVICES: readonly Service[] = [
  external('www.google.com', ['1.1.1.1']),
  inCluster('productpage', 'ns1', ['9.9.9.9']),
  inCluster('example', 'ns2', ['10.10.10.10']),
  external('everywhere.io', ['10.10.10.110'], { namespace: 'ns2' }),
  external('preferred.io', ['10.10.10.210'], { namespace: 'ns2' }),
  external('everywhere.io', ['10.10.10.111'], { namespace: 'preferred-ns' }),
  external('preferred.io', ['10.10.10.211'], { namespace: 'preferred-ns' }),
  external('everywhere.io', ['10.10.10.112']),
  external('first.io', ['10.10.10.120'], { namespace: 'ns3' }),
  external('first.io', ['10.10.10.121'], { namespace: 'ns2' }),
  external('canonical.svc', ['10.10.10.140'], { namespace: 'ns2' }),
  external('canonical.svc', ['10.10.10.142'], { namespace: 'preferred-ns' }),
  external('canonical.svc', ['10.10.10.141'], { namespace: 'ns3', canonical: true }),
  external('canonical.with.local', ['10.10.10.150']),
  external('canonical.with.local', ['10.10.10.151'], { namespace: 'ns2', canonical: true }),
  external('hidden.io', ['10.10.10.160'], { namespace: 'ns2', visibility: 'namespace' }),
  external('half-hidden.io', ['10.10.10.161'], { namespace: 'ns2', visibility: 'namespace' }),
  external('half-hidden.io', ['10.10.10.162'], { namespace: 'ns3' }),
  external('private.io', ['10.10.10.163'], { visibility: 'namespace' }),
  inCluster('details', 'ns2', ['11.11.11.11', '12.12.12.12', '13.13.13.13', '14.14.14.14'], {
    hostname: 'details.ns2.svc.cluster.remote',
  }),
  external('ipv4.localhost', ['2.2.2.2']),
  external('ipv6.localhost', ['2001:db8::ff00:42:8329']),
  external('dual.localhost', ['2.2.2.2', '2001:db8::ff00:42:8329']),
  external('only4.localhost', ['2.2.2.2', '2001:db8::ff00:42:8329'], { ipFamilies: 'ipv4' }),
  external('*.wildcard', ['10.10.10.10']),
  external('*.b.wildcard', ['11.11.11.11']),
  external('*.svc.mesh.company.net', ['10.1.2.3']),
  inCluster('nw2-only', 'ns1', [], { vips: [vip('20.20.20.20', 'nw2')] }),
  inCluster('both-networks', 'ns1', [], { vips: [vip('21.21.21.21', 'nw1'), vip('22.22.22.22', 'nw2')] }),
  inCluster('headless', 'ns1', []),
  inCluster('headless-ipv6', 'ns1', [], { ipFamilies: 'ipv6' }),
  inCluster('headless-empty', 'ns1', []),
  external('headless.example.com', []),
  external('headless-no-endpoints.example.com', []),
  external('block.example.com', [], { cidrVips: [cidrVip(parseCidr('10.9.0.0/16')!, 'nw1')] }),
];

function endpointOf(
  hostname: string,
  name: string,
  addresses: readonly string[],
  given: Partial<Workload> = {},
): Workload {
  const services = new Map([[`ns1/${hostname}`, ports([80, 80])]]);
  return workload(name, { namespace: 'ns1', network: 'nw1', addresses: addresses.map(ip), services, ...given });
}

const HEADLESS = 'headless.ns1.svc.cluster.local';
const WORKLOADS: readonly Workload[] = [
  endpointOf(HEADLESS, 'pod-0', ['30.30.30.30', '2001:db8::30', '30.30.30.99']),
  endpointOf(HEADLESS, 'pod-1', ['31.31.31.31', '2001:db8::31'], { network: 'nw2' }),
  endpointOf(HEADLESS, 'pod-2', ['32.0.0.1'], { isHealthy: false }),
  endpointOf('headless.example.com', 'outside', ['32.32.32.32', '2001:db8::32']),
  endpointOf('headless-ipv6.ns1.svc.cluster.local', 'pod-3', ['33.33.33.33', '2001:db8::33']),
];

const INDEX: NameIndex = {
  servicesByHostname: (hostname) => SERVICES.filter((one) => one.hostname === hostname),
  endpoints: meshOf(WORKLOADS, SERVICES).endpoints,
};

const cases: readonly (readonly [title: string, question: string, expected: string])[] = [
  ['unsupported record type will forward', 'productpage.ns1. NS', 'forward record-type'],
  ['SRV of a known service will forward', 'productpage.ns1.svc.cluster.local SRV', 'forward record-type'],
  ['non k8s host in local cache', 'www.google.com', 'www.google.com 1.1.1.1'],
  [
    'non k8s host with search namespace yields cname+A record',
    'www.google.com.ns1.svc.cluster.local.',
    'alias www.google.com 1.1.1.1',
  ],
  ['non k8s host not in local cache', 'www.bing.com', 'forward unknown-name'],
  ['k8s host - fqdn', 'productpage.ns1.svc.cluster.local.', 'productpage.ns1.svc.cluster.local 9.9.9.9'],
  ['k8s host - name.namespace', 'productpage.ns1.', 'productpage.ns1 9.9.9.9'],
  ['k8s host - shortname', 'productpage.', 'productpage 9.9.9.9'],
  ['names compare lower-cased and keep their spelling', 'ProductPage.NS1', 'ProductPage.NS1 9.9.9.9'],
  ['a stripped name keeps its spelling', 'ProductPage.ns1.NS1.svc.Cluster.Local', 'alias ProductPage.ns1 9.9.9.9'],
  [
    'k8s host (name.namespace) with search namespace yields cname+A record',
    'productpage.ns1.ns1.svc.cluster.local.',
    'alias productpage.ns1 9.9.9.9',
  ],
  [
    'k8s host (fqdn) with the last search domain yields cname+A record',
    'productpage.ns1.svc.cluster.local.cluster.local',
    'alias productpage.ns1.svc.cluster.local 9.9.9.9',
  ],
  [
    'AAAA query for IPv4 k8s host (name.namespace) with search namespace',
    'productpage.ns1.ns1.svc.cluster.local. AAAA',
    'empty no-address',
  ],
  ['k8s host - non local namespace - name.namespace', 'example.ns2.', 'example.ns2 10.10.10.10'],
  [
    'k8s host - non local namespace - fqdn',
    'example.ns2.svc.cluster.local.',
    'example.ns2.svc.cluster.local 10.10.10.10',
  ],
  ['k8s host - non local namespace - name.namespace.svc', 'example.ns2.svc.', 'example.ns2.svc 10.10.10.10'],
  ['k8s host - non local namespace - shortname', 'example.', 'forward unknown-name'],
  [
    'remote cluster k8s svc - same ns and different domain - fqdn',
    'details.ns2.svc.cluster.remote.',
    'details.ns2.svc.cluster.remote 11.11.11.11 12.12.12.12 13.13.13.13 14.14.14.14',
  ],
  ['remote cluster k8s svc - same ns and different domain - name.namespace', 'details.ns2.', 'forward unknown-name'],
  ['TypeA query returns A records only', 'dual.localhost.', 'dual.localhost 2.2.2.2'],
  ['TypeAAAA query returns AAAA records only', 'dual.localhost. AAAA', 'dual.localhost 2001:db8::ff00:42:8329'],
  ['empty if only AAAA records exist for typeA', 'ipv6.localhost.', 'empty no-address'],
  ['empty if only A records exist for typeAAAA', 'ipv4.localhost. AAAA', 'empty no-address'],
  ['empty for a family the service does not have', 'only4.localhost. AAAA', 'empty family'],
  ['wild card returns A record correctly', 'foo.wildcard.', 'foo.wildcard 10.10.10.10'],
  ['specific wild card returns A record correctly', 'a.b.wildcard.', 'a.b.wildcard 11.11.11.11'],
  ['a wild card is not its own domain', 'wildcard.', 'forward unknown-name'],
  [
    'wild card with domain returns A record correctly',
    'foo.svc.mesh.company.net.',
    'foo.svc.mesh.company.net 10.1.2.3',
  ],
  [
    'wild card with namespace with domain returns A record correctly',
    'foo.foons.svc.mesh.company.net.',
    'foo.foons.svc.mesh.company.net 10.1.2.3',
  ],
  [
    'wild card with search domain returns A record correctly',
    'foo.svc.mesh.company.net.ns1.svc.cluster.local.',
    'foo.svc.mesh.company.net.ns1.svc.cluster.local 10.1.2.3',
  ],
  ['no vip on client network returns no records', 'nw2-only.ns1.svc.cluster.local.', 'empty no-address'],
  [
    'return vip for client network only',
    'both-networks.ns1.svc.cluster.local.',
    'both-networks.ns1.svc.cluster.local 21.21.21.21',
  ],
  ['headless service returns workload ips for A', HEADLESS, `${HEADLESS} 30.30.30.30 31.31.31.31`],
  ['headless service returns workload ips for AAAA', `${HEADLESS} AAAA`, `${HEADLESS} 2001:db8::30 2001:db8::31`],
  [
    'headless-ipv6 service returns records for AAAA',
    'headless-ipv6.ns1.svc.cluster.local. AAAA',
    'headless-ipv6.ns1.svc.cluster.local 2001:db8::33',
  ],
  ['headless-ipv6 service returns empty for A', 'headless-ipv6.ns1.svc.cluster.local.', 'empty family'],
  ['headless service without endpoints is empty', 'headless-empty.ns1.svc.cluster.local', 'empty no-address'],
  ['k8s pod - fqdn is forwarded', 'headless.pod0.ns1.svc.cluster.local.', 'forward unknown-name'],
  ['k8s pod - name.domain.ns is forwarded', 'headless.pod0.ns1.', 'forward unknown-name'],
  ['headless external without IPs', 'headless-no-endpoints.example.com', 'forward unknown-name'],
  ['headless external', 'headless.example.com', 'forward unknown-name'],
  ['a block of addresses is none', 'block.example.com', 'forward unknown-name'],
  ['preferred namespace is chosen if local namespace is not defined', 'preferred.io.', 'preferred.io 10.10.10.211'],
  ["external service resolves to local namespace's address", 'everywhere.io.', 'everywhere.io 10.10.10.112'],
  [
    'canonical services are preferred when no ns-local hostname is present',
    'canonical.svc',
    'canonical.svc 10.10.10.141',
  ],
  [
    'namespace-local service should be preferred over canonical',
    'canonical.with.local',
    'canonical.with.local 10.10.10.150',
  ],
  ['the first of equals is taken', 'first.io', 'first.io 10.10.10.120'],
  ['a service of another namespace only is not visible', 'hidden.io', 'forward unknown-name'],
  ['of several the visible one is taken', 'half-hidden.io', 'half-hidden.io 10.10.10.162'],
  ["the client's own namespace sees its private service", 'private.io', 'private.io 10.10.10.163'],
  ['a search domain alone is not stripped to nothing', 'svc.cluster.local', 'forward unknown-name'],
  ['the end of a label is no search domain', 'www.google.comns1.svc.cluster.local', 'forward unknown-name'],
  ['the root is forwarded', '.', 'forward unknown-name'],
];

function ask(question: string, client: Partial<DnsClient> = {}, rules: Partial<DnsRules> = {}): DnsLookup {
  const [name = '', type = 'A'] = question.split(' ');
  return lookupName(INDEX, { ...RULES, ...rules }, { ...CLIENT, ...client }, { name, type }, seededRng(1));
}

function told(lookup: DnsLookup): string {
  if (lookup.is !== 'answer') return `${lookup.is} ${lookup.reason}`;
  const addresses = lookup.addresses.map(String).sort();
  return [...(lookup.isAlias ? ['alias'] : []), lookup.name, ...addresses].join(' ');
}

for (const [title, question, expected] of cases) {
  test(`lookup: ${title}`, () => assert.equal(told(ask(question)), expected));
}

test('IPv6 disabled leaves AAAA empty and A as it was', () => {
  const rules = { ipv6Enabled: false };
  assert.equal(told(ask('dual.localhost AAAA', {}, rules)), 'empty ipv6-disabled');
  assert.equal(told(ask('dual.localhost A', {}, rules)), 'dual.localhost 2.2.2.2');
  assert.equal(told(ask('unknown.example AAAA', {}, rules)), 'forward unknown-name');
});

test('without a preferred namespace the first is taken', () => {
  assert.equal(told(ask('preferred.io', {}, { preferredNamespace: null })), 'preferred.io 10.10.10.210');
});

test('search domains of the client replace those of Kubernetes', () => {
  const client = { searchDomains: ['Corp.Example.', ''] };
  assert.equal(told(ask('www.google.com.corp.example', client)), 'alias www.google.com 1.1.1.1');
  assert.equal(told(ask('www.google.com.ns1.svc.cluster.local', client)), 'forward unknown-name');
});

test('a service hidden by visibility leaves the next candidate its turn', () => {
  const hidden = external('productpage', ['1.2.3.4'], { namespace: 'ns2', visibility: 'namespace' });
  const index: NameIndex = {
    ...INDEX,
    servicesByHostname: (name) => (name === 'productpage' ? [hidden] : INDEX.servicesByHostname(name)),
  };
  const question = { name: 'productpage', type: 'A' };
  assert.equal(told(lookupName(index, RULES, CLIENT, question, seededRng(1))), 'productpage 9.9.9.9');
});

test('addresses come in an order that chance gives, all of them', () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 50; seed += 1) {
    const question = { name: 'details.ns2.svc.cluster.remote', type: 'A' };
    const found = lookupName(INDEX, RULES, CLIENT, question, seededRng(seed));
    assert.ok(found.is === 'answer' && found.addresses.length === 4);
    orders.add(found.addresses.join());
  }
  assert.ok(orders.size > 10, `${orders.size} orders`);
});

const expansions: readonly (readonly [name: string, expected: readonly string[]])[] = [
  ['name', ['name.ns1.svc.cluster.local']],
  ['name.ns2', ['name.ns2.svc.cluster.local', 'name.ns2.ns1.svc.cluster.local']],
  ['name.ns2.svc', ['name.ns2.svc.cluster.local', 'name.ns2.svc.svc.cluster.local']],
  ['name.ns2.not-svc', ['name.ns2.not-svc.svc.cluster.local']],
  ['pod.sub-domain.ns.svc', ['pod.sub-domain.ns.svc.cluster.local']],
  ['pod.sub-domain.ns.not-svc', []],
  ['name.ns2.svc.cluster', []],
  ['name.ns2.svc.cluster.local', []],
  ['www.google.com', ['www.google.com.svc.cluster.local']],
];

for (const [name, expected] of expansions) {
  test(`to Kubernetes names: ${name}`, () => {
    assert.deepEqual(kubernetesNames(name, 'ns1', 'cluster.local'), expected);
  });
}

test('wildcards go from the name to the widest', () => {
  assert.deepEqual(withWildcards('svc1'), ['svc1']);
  assert.deepEqual(withWildcards('svc1.ns1.svc.cluster.local'), [
    'svc1.ns1.svc.cluster.local',
    '*.ns1.svc.cluster.local',
    '*.svc.cluster.local',
    '*.cluster.local',
    '*.local',
  ]);
});

test('candidates are the name, its expansions, then the same for each search domain, each once', () => {
  const names = candidateNames(RULES, CLIENT, 'a.ns1.svc.cluster.local').map(
    ({ name, stripped }) => `${name} ${stripped}`,
  );
  assert.deepEqual(names, [
    'a.ns1.svc.cluster.local null',
    'a a',
    'a.ns1 a.ns1',
    'a.ns1.ns1.svc.cluster.local a.ns1',
    'a.ns1.svc a.ns1.svc',
    'a.ns1.svc.svc.cluster.local a.ns1.svc',
  ]);
});
