/** The proxy's side of ZDS: which pods to serve. */
export type { ZdsClientLimits } from './limits.ts';
export type { HostedPod, PodHost, StopMode } from './pod-host.ts';
export { ZdsClient, type ZdsClientCounters, type ZdsClientOptions } from './zds-client.ts';
