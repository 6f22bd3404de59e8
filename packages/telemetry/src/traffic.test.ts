import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { ManualClock } from '@ambit/base/clock';
import { AccessLog } from './access-log.ts';
import { formatExposition } from './exposition.ts';
import { MetricRegistry } from './metrics.ts';
import { registerNodeMetrics } from './node-metrics.ts';
import { BAGGAGE, lineOutput, trafficContext, trafficWorkload } from './telemetry.fixture.ts';
import { type ConnectionContext, Traffic } from './traffic.ts';
import type { ResponseFlag } from './traffic-labels.ts';

function makeTraffic() {
  const registry = new MetricRegistry();
  const output = lineOutput('text');
  const clock = new ManualClock(1000);
  const metrics = registerNodeMetrics(registry);
  const traffic = new Traffic({ registry, metrics, accessLog: new AccessLog(output), clock });
  return { registry, traffic, clock, lines: output.lines };
}

function connection(given: Partial<ConnectionContext> = {}): ConnectionContext {
  return {
    ...trafficContext(),
    sourceAddress: '10.1.9.9:40312',
    destinationAddress: '10.1.2.3:15008',
    hboneAddress: '10.1.2.3:8080',
    ...given,
  };
}

/** `opened -`: 1, of the TCP metrics that are not 0. */
function counts(registry: MetricRegistry): Record<string, number> {
  const samples = formatExposition(registry).matchAll(
    /^istio_tcp_(?:connections_)?(\w+)_total\{.*response_flags="([^"]*)".*\} (\d+)$/gm,
  );
  const all = [...samples].map(([, name, flag, value]) => [`${name} ${flag}`, Number(value)] as const);
  return Object.fromEntries(all.filter(([, value]) => value !== 0));
}

/** One field of a line of text. */
function field(line: string | undefined, key: string): string | undefined {
  return new RegExp(` ${key.replace('.', '\\.')}=(\\S+)`).exec(line ?? '')?.[1];
}

describe('the life of a connection', () => {
  test('opened counts at once, closed at the end, and nothing failed where the flag is -', () => {
    const { registry, traffic, lines } = makeTraffic();
    const opened = traffic.open(connection());
    assert.deepEqual(counts(registry), { 'opened -': 1 });
    assert.equal(traffic.openCount, 1);
    opened.close({ flag: '-', error: null });
    assert.deepEqual(counts(registry), { 'opened -': 1, 'closed -': 1 });
    assert.equal(traffic.openCount, 0);
    assert.deepEqual(
      lines.map((line) => line.split('\t').slice(1, 4).join(' ')),
      ['debug access connection opened', 'info access connection complete'],
    );
  });

  const flags: ResponseFlag[] = [
    'DENY',
    'CONNECT',
    'TLS_FAILURE',
    'H2_HANDSHAKE_FAILURE',
    'NETWORK_POLICY',
    'IDENTITY_ERROR',
    'CERT_REVOKED',
  ];
  for (const flag of flags) {
    test(`one that ends with ${flag} is closed and failed under that flag, opened and its bytes under -`, () => {
      const { registry, traffic } = makeTraffic();
      const opened = traffic.open(connection());
      opened.carry({ receivedBytes: 3, sentBytes: 4 });
      opened.close({ flag, error: 'broke' });
      assert.deepEqual(counts(registry), {
        'opened -': 1,
        [`closed ${flag}`]: 1,
        'received_bytes -': 3,
        'sent_bytes -': 4,
        [`failed ${flag}`]: 1,
      });
    });
  }

  test('what draining cuts is closed with an error and the flag -', () => {
    const { registry, traffic, lines } = makeTraffic();
    traffic.open(connection());
    traffic.open(connection());
    traffic.drain();
    assert.equal(traffic.openCount, 0);
    assert.deepEqual(counts(registry), { 'opened -': 2, 'closed -': 2 });
    assert.match(
      lines.at(-1)!,
      /\terror\taccess\tconnection complete\t.* error="connection closed due to connection drain"$/,
    );
  });

  test('the first end counts', () => {
    const { registry, traffic, lines } = makeTraffic();
    const opened = traffic.open(connection());
    opened.close({ flag: 'DENY', error: 'connection closed due to policy change' });
    opened.close({ flag: '-', error: null });
    assert.deepEqual(counts(registry), { 'opened -': 1, 'closed DENY': 1, 'failed DENY': 1 });
    assert.equal(lines.length, 2);
  });
});

describe('bytes', () => {
  test('are counted while they flow, over one copy after another, and not after the end', () => {
    const { registry, traffic } = makeTraffic();
    const opened = traffic.open(connection());
    const first = { receivedBytes: 10, sentBytes: 1 };
    opened.carry(first);
    traffic.poll();
    assert.deepEqual(counts(registry), { 'opened -': 1, 'received_bytes -': 10, 'sent_bytes -': 1 });
    first.receivedBytes = 15;
    const second = { receivedBytes: 2, sentBytes: 0 };
    opened.carry(second);
    first.receivedBytes = 1000;
    traffic.poll();
    traffic.poll();
    opened.close({ flag: '-', error: null });
    second.receivedBytes = 1000;
    opened.poll();
    opened.carry({ receivedBytes: 1000, sentBytes: 1000 });
    opened.poll();
    assert.deepEqual(counts(registry), { 'opened -': 1, 'closed -': 1, 'received_bytes -': 17, 'sent_bytes -': 1 });
  });

  test('in metrics keep their direction at both reporters, in the log they flip at the source', () => {
    for (const [reporter, sent, received] of [
      ['source', '120', '4096'],
      ['destination', '4096', '120'],
    ] as const) {
      const { registry, traffic, lines } = makeTraffic();
      const opened = traffic.open(connection({ reporter }));
      opened.carry({ receivedBytes: 120, sentBytes: 4096 });
      opened.close({ flag: '-', error: null });
      const counted = counts(registry);
      assert.deepEqual([counted['received_bytes -'], counted['sent_bytes -']], [120, 4096]);
      assert.deepEqual([field(lines[1], 'bytes_sent'), field(lines[1], 'bytes_recv')], [sent, received]);
    }
  });

  test('the duration is in whole milliseconds', () => {
    const { traffic, clock, lines } = makeTraffic();
    const opened = traffic.open(connection());
    clock.advance(15.9);
    opened.close({ flag: '-', error: null });
    assert.equal(field(lines[1], 'duration'), '"15ms"');
  });
});

describe('names in the log', () => {
  const table: [string, Partial<ConnectionContext>, Record<string, string | undefined>][] = [
    ['are those of pods', {}, { 'src.workload': '"web-7f-abc"', 'dst.workload': '"cart-0"' }],
    [
      'fall back to the canonical service',
      { source: null, sourceBaggage: BAGGAGE },
      { 'src.workload': '"client-app"' },
    ],
    [
      'come from who answered in another network',
      { answered: { baggage: BAGGAGE, identity: null } },
      { 'dst.workload': '"client"', 'dst.identity': undefined, 'dst.cluster': '"far"' },
    ],
    [
      'are left out where nothing is known',
      { source: null, sourceIdentity: null, destination: null, service: null, hboneAddress: null },
      {
        'src.workload': undefined,
        'src.namespace': undefined,
        'src.cluster': undefined,
        'dst.workload': undefined,
        'dst.service': undefined,
        'dst.hbone_addr': undefined,
        direction: '"outbound"',
      },
    ],
    [
      'are no identities in plaintext, though the state knows one',
      { isMutualTls: false },
      { 'src.identity': undefined, 'dst.identity': undefined },
    ],
    [
      'of an empty canonical service are left out',
      { source: trafficWorkload({ name: '', canonicalName: '' }) },
      { 'src.workload': undefined },
    ],
  ];
  for (const [name, given, expected] of table) {
    test(name, () => {
      const { traffic, lines } = makeTraffic();
      traffic.open(connection(given));
      for (const [key, value] of Object.entries(expected)) assert.equal(field(lines[0], key), value, key);
    });
  }
});

test('the metrics of a call are, name by name and label by label, those that Istio ztunnel showed for the same call', () => {
  const { registry, traffic } = makeTraffic();
  // A workload about which its control plane said no more than this.
  const peer = trafficWorkload({
    name: 'peer',
    namespace: 'default',
    serviceAccount: 'default',
    workloadName: '',
    canonicalName: '',
    canonicalRevision: '',
    locality: { region: '', zone: '', subzone: '' },
  });
  const sourceIdentity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'default' };
  traffic
    .open(connection({ source: peer, destination: peer, service: null, sourceIdentity }))
    .close({ flag: 'CONNECT', error: 'http status: 503 Service Unavailable' });
  const labels = (flag: string): string =>
    `reporter="source",source_workload="unknown",source_canonical_service="unknown",source_canonical_revision="unknown",source_workload_namespace="default",source_principal="spiffe://cluster.local/ns/default/sa/default",source_app="unknown",source_version="unknown",source_cluster="Kubernetes",destination_service="unknown",destination_service_namespace="unknown",destination_service_name="unknown",destination_workload="unknown",destination_canonical_service="unknown",destination_canonical_revision="unknown",destination_workload_namespace="default",destination_principal="spiffe://cluster.local/ns/default/sa/default",destination_app="unknown",destination_version="unknown",destination_cluster="Kubernetes",request_protocol="tcp",response_flags="${flag}",connection_security_policy="mutual_tls",source_region="unknown",source_zone="unknown",destination_region="unknown",destination_zone="unknown"`;
  // Recorded from the program, but for the order of metrics that are not about this call.
  const recorded = `# HELP istio_tcp_connections_opened The total number of TCP connections opened.
# TYPE istio_tcp_connections_opened counter
istio_tcp_connections_opened_total{${labels('-')}} 1
# HELP istio_tcp_connections_closed The total number of TCP connections closed.
# TYPE istio_tcp_connections_closed counter
istio_tcp_connections_closed_total{${labels('CONNECT')}} 1
# HELP istio_tcp_received_bytes The size of total bytes received during request in case of a TCP connection.
# TYPE istio_tcp_received_bytes counter
istio_tcp_received_bytes_total{${labels('-')}} 0
# HELP istio_tcp_sent_bytes The size of total bytes sent during response in case of a TCP connection.
# TYPE istio_tcp_sent_bytes counter
istio_tcp_sent_bytes_total{${labels('-')}} 0
# HELP istio_tcp_connections_failed The total number of TCP connections that failed to establish (unstable).
# TYPE istio_tcp_connections_failed counter
istio_tcp_connections_failed_total{${labels('CONNECT')}} 1
`;
  const exposed = formatExposition(registry);
  assert.equal(
    exposed.slice(exposed.indexOf('# HELP istio_tcp'), exposed.indexOf('# HELP workload_manager')),
    recorded,
  );
});
