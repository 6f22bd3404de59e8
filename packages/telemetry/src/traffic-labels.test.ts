import assert from 'node:assert/strict';
import test from 'node:test';
import { BAGGAGE_LABEL_CHARS_MAX } from './limits.ts';
import { BAGGAGE, CART, trafficContext, trafficWorkload, WEB_IDENTITY } from './telemetry.fixture.ts';
import {
  type ResponseFlag,
  TRAFFIC_LABELS,
  type TrafficContext,
  trafficDestination,
  trafficLabels,
  trafficSource,
  withFlag,
} from './traffic-labels.ts';

/** By name, without those that are left out. */
function labelsOf(context: TrafficContext, flag: ResponseFlag = '-'): Record<string, string> {
  const values = trafficLabels(context, trafficSource(context), trafficDestination(context), flag);
  const entries = TRAFFIC_LABELS.names.map((name, i) => [name, values[i]] as const);
  return Object.fromEntries(
    entries.filter((entry): entry is readonly [string & (typeof entry)[0], string] => entry[1] !== null),
  );
}

/** Those of the names that begin with it. */
function only(labels: Record<string, string>, ...prefixes: string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix))),
  );
}

const UNKNOWN_SOURCE = {
  source_workload: 'unknown',
  source_canonical_service: 'unknown',
  source_canonical_revision: 'unknown',
  source_workload_namespace: 'unknown',
  source_principal: 'unknown',
  source_app: 'unknown',
  source_version: 'unknown',
  source_cluster: 'unknown',
};
const WEB_SOURCE = {
  source_workload: 'web-7f',
  source_canonical_service: 'web',
  source_canonical_revision: 'v1',
  source_workload_namespace: 'shop',
  source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
  source_app: 'web',
  source_version: 'v1',
  source_cluster: 'Kubernetes',
};
const BAGGAGE_SOURCE = {
  source_workload: 'client',
  source_canonical_service: 'client-app',
  source_canonical_revision: 'v9',
  source_workload_namespace: 'other',
  source_principal: 'unknown',
  source_app: 'client',
  source_version: 'v9',
  source_cluster: 'far',
};
const LOCALITIES = ['source_region', 'source_zone', 'destination_region', 'destination_zone'];

test('a call between known workloads has every label, in the order of Istio', () => {
  const labels = labelsOf(trafficContext());
  assert.deepEqual(
    Object.entries(labels),
    Object.entries({
      reporter: 'source',
      ...WEB_SOURCE,
      destination_service: 'cart.shop.svc.cluster.local',
      destination_service_namespace: 'shop',
      destination_service_name: 'cart',
      destination_workload: 'cart',
      destination_canonical_service: 'cart',
      destination_canonical_revision: 'v2',
      destination_workload_namespace: 'shop',
      destination_principal: 'spiffe://cluster.local/ns/shop/sa/cart',
      destination_app: 'cart',
      destination_version: 'v2',
      destination_cluster: 'Kubernetes',
      request_protocol: 'tcp',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
      source_region: 'r1',
      source_zone: 'z1',
      destination_region: 'r1',
      destination_zone: 'z2',
    }),
  );
});

test('the source is the workload of the state, else what baggage says, and its principal is that of mutual TLS alone', () => {
  const table: [Partial<TrafficContext>, Record<string, string>][] = [
    [{ source: null, sourceIdentity: null }, UNKNOWN_SOURCE],
    [
      { sourceIdentity: null, isMutualTls: false },
      { ...WEB_SOURCE, source_principal: 'unknown' },
    ],
    [{ sourceBaggage: BAGGAGE }, WEB_SOURCE],
    [{ source: null, sourceBaggage: BAGGAGE, sourceIdentity: null }, BAGGAGE_SOURCE],
    [
      { source: null, sourceBaggage: BAGGAGE },
      { ...BAGGAGE_SOURCE, source_principal: 'spiffe://cluster.local/ns/shop/sa/web' },
    ],
    [
      { source: null, sourceBaggage: { ...BAGGAGE, service: '', revision: '', cluster: '' }, sourceIdentity: null },
      {
        ...BAGGAGE_SOURCE,
        source_canonical_service: 'unknown',
        source_canonical_revision: 'unknown',
        source_version: 'unknown',
        source_cluster: 'unknown',
      },
    ],
    [
      { source: trafficWorkload({ canonicalName: '', canonicalRevision: '', workloadName: '', clusterId: '' }) },
      {
        ...UNKNOWN_SOURCE,
        source_workload_namespace: 'shop',
        source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
      },
    ],
  ];
  for (const [given, expected] of table) {
    const { source_region: _, source_zone: __, ...source } = only(labelsOf(trafficContext(given)), 'source_');
    assert.deepEqual(source, expected);
  }
});

test('the principal of a destination comes from the state, also in plaintext', () => {
  const labels = labelsOf(trafficContext({ isMutualTls: false, sourceIdentity: null }));
  assert.equal(labels.destination_principal, 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(labels.connection_security_policy, 'unknown');
});

test('whoever answered from another network takes the place of the destination', () => {
  const answered = { baggage: BAGGAGE, identity: { ...WEB_IDENTITY, namespace: 'far' } };
  const labels = labelsOf(trafficContext({ answered }));
  assert.deepEqual(
    only(labels, 'destination_workload', 'destination_principal', 'destination_app', 'destination_zone'),
    {
      destination_workload: 'client',
      destination_workload_namespace: 'other',
      destination_principal: 'spiffe://cluster.local/ns/far/sa/web',
      destination_app: 'client',
      destination_zone: 'z9',
    },
  );
  assert.equal(labels.destination_service_name, 'cart');
  const anonymous = labelsOf(trafficContext({ answered: { baggage: BAGGAGE, identity: null } }));
  assert.equal(anonymous.destination_principal, 'unknown');
});

test('region and zone are there as soon as one end is known, and unknown where only the other is', () => {
  const nobody = { source: null, sourceIdentity: null, destination: null };
  const table: [Partial<TrafficContext>, (string | undefined)[]][] = [
    [nobody, [undefined, undefined, undefined, undefined]],
    [{ ...nobody, sourceIdentity: WEB_IDENTITY }, [undefined, undefined, undefined, undefined]],
    [{ ...nobody, sourceBaggage: BAGGAGE }, ['r9', 'z9', 'unknown', 'unknown']],
    [{ ...nobody, source: trafficWorkload() }, ['r1', 'z1', 'unknown', 'unknown']],
    [{ ...nobody, destination: CART }, ['unknown', 'unknown', 'r1', 'z2']],
    [
      { ...nobody, source: trafficWorkload({ locality: { region: '', zone: '', subzone: '' } }) },
      ['unknown', 'unknown', 'unknown', 'unknown'],
    ],
  ];
  for (const [given, expected] of table) {
    const labels = labelsOf(trafficContext(given));
    assert.deepEqual(
      LOCALITIES.map((name) => labels[name]),
      expected,
    );
  }
});

test('without a service its three labels are unknown', () => {
  assert.deepEqual(only(labelsOf(trafficContext({ service: null })), 'destination_service'), {
    destination_service: 'unknown',
    destination_service_namespace: 'unknown',
    destination_service_name: 'unknown',
  });
});

test('a flag changes its label and nothing else', () => {
  const context = trafficContext();
  const plain = trafficLabels(context, trafficSource(context), trafficDestination(context), '-');
  const denied = trafficLabels(context, trafficSource(context), trafficDestination(context), 'DENY');
  assert.deepEqual(withFlag(plain, 'DENY'), denied);
  assert.notDeepEqual(plain, denied);
});

test('what a peer says of itself is cut, and labels beside it are not', () => {
  const long = 'x'.repeat(8000);
  const labels = labelsOf(trafficContext({ source: null, sourceBaggage: { ...BAGGAGE, workloadName: long } }));
  assert.equal(labels.source_workload, long.slice(0, BAGGAGE_LABEL_CHARS_MAX));
  assert.equal(labels.source_canonical_service, 'client-app');
});
