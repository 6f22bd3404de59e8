import assert from 'node:assert/strict';
import test from 'node:test';
import { formatExposition } from './exposition.ts';
import { MetricRegistry } from './metrics.ts';
import { registerNodeMetrics } from './node-metrics.ts';

test('every metric of Istio ztunnel is there once it counted, under its sample name and with its labels in order', () => {
  const registry = new MetricRegistry();
  const metrics = registerNodeMetrics(registry);
  metrics.build.of('ztunnel', 'unknown').set(1);
  metrics.socketsOpen.of('source').add(1);
  metrics.crlRejections.of('destination').add(1);
  metrics.crlUntracked.of('destination').add(1);
  metrics.xdsTerminations.of('Reconnect').add(1);
  metrics.xdsMessages.of('t').add(1);
  metrics.xdsMessageBytes.of('t').add(10);
  for (const family of [metrics.dnsRequests, metrics.dnsUpstreamRequests, metrics.dnsUpstreamFailures]) {
    family.of('a', 'udp', 'web', 'v1').add(1);
  }
  metrics.dnsUpstreamDuration.of('a', 'udp', 'web', 'v1').observe(0.02);
  metrics.onDemandDns.of('w', 's', 'r', 'n', 'p', 'a', 'v', 'c', 'h').add(1);
  metrics.proxiesActive.of().set(2);
  const dns =
    'request_query_type="a",request_protocol="udp",source_canonical_service="web",source_canonical_revision="v1"';
  const samples = formatExposition(registry)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('ambit_'));
  assert.deepEqual(samples, [
    'istio_on_demand_dns_total{source_workload="w",source_canonical_service="s",source_canonical_revision="r",source_workload_namespace="n",source_principal="p",source_app="a",source_version="v",source_cluster="c",hostname="h"} 1',
    'istio_tcp_sockets_open{reporter="source"} 1',
    'istio_crl_policy_rejections_total{reporter="destination"} 1',
    'istio_crl_untracked_connections_total{reporter="destination"} 1',
    'istio_xds_connection_terminations_total{reason="Reconnect"} 1',
    'istio_xds_message_total{url="t"} 1',
    'istio_xds_message_bytes_total{url="t"} 10',
    `istio_dns_requests_total{${dns}} 1`,
    `istio_dns_upstream_requests_total{${dns}} 1`,
    `istio_dns_upstream_failures_total{${dns}} 1`,
    `istio_dns_upstream_request_duration_seconds_sum{${dns}} 0.02`,
    `istio_dns_upstream_request_duration_seconds_count{${dns}} 1`,
    ...[
      ['0.0005', 0],
      ['0.001', 0],
      ['0.01', 0],
      ['0.1', 1],
      ['1.0', 1],
      ['5.0', 1],
      ['+Inf', 1],
    ].map(([le, count]) => `istio_dns_upstream_request_duration_seconds_bucket{le="${le}",${dns}} ${count}`),
    'istio_build{component="ztunnel",tag="unknown"} 1',
    'workload_manager_active_proxy_count 2',
    'workload_manager_pending_proxy_count 0',
    'workload_manager_proxies_started_total 0',
    'workload_manager_proxies_stopped_total 0',
  ]);
});
