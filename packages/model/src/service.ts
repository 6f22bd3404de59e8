/** A service as proxies know it, decoded from `istio.workload.Service` with the defaults in place. */
import type { Cidr } from './ip-address.ts';
import type { GatewayAddress, NetworkAddress, PortMap } from './workload.ts';

export type LoadBalancingScope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster' | 'network';

/** `standard`: any endpoint. `passthrough`: the address that was called, and no endpoint. */
export type LoadBalancingMode = 'standard' | 'strict' | 'failover' | 'passthrough';

export interface LoadBalancing {
  /** The first counts most. */
  readonly routingPreference: readonly LoadBalancingScope[];
  readonly mode: LoadBalancingMode;
  readonly allowsUnhealthy: boolean;
}

export interface NetworkCidr {
  readonly network: string;
  readonly block: Cidr;
}

export interface WeightedWaypoint {
  readonly destination: GatewayAddress;
  readonly weight: number;
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly NetworkAddress[];
  /** Virtual addresses that are blocks. */
  readonly cidrVips: readonly NetworkCidr[];
  readonly ports: PortMap;
  /** Identities that may answer, besides that of the workload. */
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | null;
  readonly weightedWaypoints: readonly WeightedWaypoint[];
  readonly loadBalancing: LoadBalancing;
  readonly ipFamilies: 'automatic' | 'ipv4' | 'ipv6' | 'dual';
  /** Wins among services of one hostname or address. */
  readonly canonical: boolean;
  /** `namespace`: only clients of its own namespace see it. */
  readonly visibility: 'public' | 'namespace';
}

/** How workloads name it: `namespace/hostname`. */
export function serviceKey(service: { readonly namespace: string; readonly hostname: string }): string {
  return `${service.namespace}/${service.hostname}`;
}
