/**
 * Every metric of the node proxy, by name, help and labels of Istio's ztunnel (section 8.1), in one table so that parent
 * and children register the same. Those of its runtime (`tokio_*`) have no counterpart here and are left out.
 */
import { LabelSchema } from './metric-labels.ts';
import type { Counter, Gauge, Histogram } from './metric-series.ts';
import type { Family, MetricRegistry } from './metrics.ts';
import { SOURCE_LABELS, TRAFFIC_LABELS } from './traffic-labels.ts';

const REPORTER = new LabelSchema(['reporter']);
const XDS_REASON = new LabelSchema(['reason']);
const XDS_URL = new LabelSchema(['url']);
const DNS = new LabelSchema([
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
]);
const ON_DEMAND = new LabelSchema([...SOURCE_LABELS, 'hostname']);
const BUILD = new LabelSchema(['component', 'tag']);

const DNS_DURATION_BOUNDS_SECONDS = [0.0005, 0.001, 0.01, 0.1, 1, 5];

type One = readonly [string];

export interface NodeMetrics {
  readonly connectionsOpened: Family<Counter, typeof TRAFFIC_LABELS.names>;
  readonly connectionsClosed: Family<Counter, typeof TRAFFIC_LABELS.names>;
  readonly receivedBytes: Family<Counter, typeof TRAFFIC_LABELS.names>;
  readonly sentBytes: Family<Counter, typeof TRAFFIC_LABELS.names>;
  readonly onDemandDns: Family<Counter, typeof ON_DEMAND.names>;
  readonly connectionsFailed: Family<Counter, typeof TRAFFIC_LABELS.names>;
  /** By reporter. */
  readonly socketsOpen: Family<Gauge, One>;
  readonly crlRejections: Family<Counter, One>;
  readonly crlUntracked: Family<Counter, One>;
  /** By reason: ConnectionError, Error, Reconnect, Complete. */
  readonly xdsTerminations: Family<Counter, One>;
  /** By type URL. */
  readonly xdsMessages: Family<Counter, One>;
  readonly xdsMessageBytes: Family<Counter, One>;
  readonly dnsRequests: Family<Counter, typeof DNS.names>;
  readonly dnsUpstreamRequests: Family<Counter, typeof DNS.names>;
  readonly dnsUpstreamFailures: Family<Counter, typeof DNS.names>;
  readonly dnsUpstreamDuration: Family<Histogram, typeof DNS.names>;
  readonly build: Family<Gauge, typeof BUILD.names>;
  readonly proxiesActive: Family<Gauge, readonly []>;
  readonly proxiesPending: Family<Gauge, readonly []>;
  readonly proxiesStarted: Family<Counter, readonly []>;
  readonly proxiesStopped: Family<Counter, readonly []>;
  /** Ours: see decisions.ts. */
  readonly denialsUnexplained: Family<Counter, readonly []>;
}

export function registerNodeMetrics(registry: MetricRegistry): NodeMetrics {
  return { ...registerTraffic(registry), ...registerXdsAndDns(registry), ...registerProcess(registry) };
}

function registerTraffic(registry: MetricRegistry) {
  const counter = (name: string, help: string) => registry.counter({ name: `istio_tcp_${name}`, help }, TRAFFIC_LABELS);
  return {
    connectionsOpened: counter('connections_opened', 'The total number of TCP connections opened'),
    connectionsClosed: counter('connections_closed', 'The total number of TCP connections closed'),
    receivedBytes: counter(
      'received_bytes',
      'The size of total bytes received during request in case of a TCP connection',
    ),
    sentBytes: counter('sent_bytes', 'The size of total bytes sent during response in case of a TCP connection'),
    onDemandDns: registry.counter(
      { name: 'istio_on_demand_dns', help: 'The total number of requests that used on-demand DNS (unstable)' },
      ON_DEMAND,
    ),
    connectionsFailed: counter(
      'connections_failed',
      'The total number of TCP connections that failed to establish (unstable)',
    ),
    socketsOpen: registry.gauge(
      { name: 'istio_tcp_sockets_open', help: 'The current number of open TCP sockets (unstable)' },
      REPORTER,
    ),
    crlRejections: registry.counter(
      {
        name: 'istio_crl_policy_rejections',
        help: 'The total number of connections rejected due to CRL certificate revocation (unstable)',
      },
      REPORTER,
    ),
    crlUntracked: registry.counter(
      {
        name: 'istio_crl_untracked_connections',
        help: 'The total number of connections not tracked for CRL enforcement (unstable)',
      },
      REPORTER,
    ),
  };
}

function registerXdsAndDns(registry: MetricRegistry) {
  const dns = (name: string, help: string) => registry.counter({ name: `istio_dns_${name}`, help }, DNS);
  return {
    xdsTerminations: registry.counter(
      {
        name: 'istio_xds_connection_terminations',
        help: 'The total number of completed connections to xds server (unstable)',
      },
      XDS_REASON,
    ),
    xdsMessages: registry.counter(
      { name: 'istio_xds_message', help: 'Total number of messages received (unstable)' },
      XDS_URL,
    ),
    xdsMessageBytes: registry.counter(
      { name: 'istio_xds_message', unit: 'bytes', help: 'Total number of bytes received (unstable)' },
      XDS_URL,
    ),
    dnsRequests: dns('requests', 'Total number of DNS requests (unstable)'),
    dnsUpstreamRequests: dns('upstream_requests', 'Total number of DNS requests forwarded to upstream (unstable)'),
    dnsUpstreamFailures: dns(
      'upstream_failures',
      'Total number of DNS requests that failed to forward upstream (unstable)',
    ),
    dnsUpstreamDuration: registry.histogram(
      {
        name: 'istio_dns_upstream_request_duration',
        unit: 'seconds',
        help: 'Total time in seconds Istio takes to get DNS response from upstream (unstable)',
      },
      DNS,
      DNS_DURATION_BOUNDS_SECONDS,
    ),
  };
}

function registerProcess(registry: MetricRegistry) {
  const prefix = 'workload_manager_';
  return {
    build: registry.gauge({ name: 'istio_build', help: 'Istio component build info' }, BUILD),
    proxiesActive: registry.gauge({
      name: `${prefix}active_proxy_count`,
      help: 'The total number current workloads with active proxies (unstable)',
    }),
    proxiesPending: registry.gauge({
      name: `${prefix}pending_proxy_count`,
      help: 'The total number current workloads with pending proxies (unstable)',
    }),
    proxiesStarted: registry.counter({
      name: `${prefix}proxies_started`,
      help: 'The total number of proxies that were started (unstable)',
    }),
    proxiesStopped: registry.counter({
      name: `${prefix}proxies_stopped`,
      help: 'The total number of proxies that were stopped (unstable)',
    }),
    denialsUnexplained: registry.counter({
      name: 'ambit_denials_unexplained',
      help: 'The total number of denials beyond those that are explained each second',
    }),
  };
}
