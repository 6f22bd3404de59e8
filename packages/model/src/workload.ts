/** A workload as proxies know it, decoded from `istio.workload.Workload` with the defaults in place. */
import type { IpAddress } from './ip-address.ts';

/** How the workload wants to be called: HBONE through its own proxy, or bare TCP. */
export type TunnelProtocol = 'none' | 'hbone';

export interface NamespacedHostname {
  readonly namespace: string;
  readonly hostname: string;
}

/** An address on one of the mesh's networks; the default network has no name. */
export interface NetworkAddress {
  readonly network: string;
  readonly ip: IpAddress;
}

/** Where a waypoint or a gateway of a network is found. */
export interface GatewayAddress {
  readonly destination:
    | ({ readonly is: 'hostname' } & NamespacedHostname)
    | ({ readonly is: 'address' } & NetworkAddress);
  readonly hbonePort: number;
}

/** What the proxy does instead of a plain connection to the application. */
export interface ApplicationTunnel {
  readonly protocol: 'none' | 'proxy';
  /** Null leaves the port as it is. */
  readonly port: number | null;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** From a service's port to the port of the application; 0 when it is not said. */
export type PortMap = ReadonlyMap<number, number>;

export interface Workload {
  /** `<cluster>//Pod/<namespace>/<name>`, or another kind in its place. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly IpAddress[];
  /** To be resolved when there are no addresses; else empty. */
  readonly hostname: string;
  readonly network: string;
  readonly tunnelProtocol: TunnelProtocol;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly waypoint: GatewayAddress | null;
  readonly networkGateway: GatewayAddress | null;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: 'deployment' | 'cronjob' | 'pod' | 'job';
  readonly workloadName: string;
  /** It speaks HBONE by itself and has no proxy on its node. */
  readonly nativeTunnel: boolean;
  readonly applicationTunnel: ApplicationTunnel | null;
  /** By `namespace/hostname`. */
  readonly services: ReadonlyMap<string, PortMap>;
  /** Keys of policies that select this workload. */
  readonly authorizationPolicies: readonly string[];
  readonly isHealthy: boolean;
  readonly clusterId: string;
  readonly locality: Locality;
  /** Shares the address of its node: reachable as an endpoint only, never by address. */
  readonly isHostNetwork: boolean;
  /** Weight among the endpoints of a service; 0 is never chosen. */
  readonly capacity: number;
}
