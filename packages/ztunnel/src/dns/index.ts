/** The DNS proxy of a pod. */
export { type DnsCount, DnsCounters, type DnsProtocol, DURATION_BUCKETS_SECONDS } from './counters.ts';
export { Forwarder, type ForwarderOptions } from './forwarder.ts';
export { parseResolvConf, type ResolvConf } from './resolv-conf.ts';
export { resolveName } from './resolve-name.ts';
export { type DnsQueryRecord, DnsServer, type DnsServerDeps, type DnsServerOptions } from './server.ts';
export type { UpstreamDeps } from './upstream-try.ts';
