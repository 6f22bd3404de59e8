/**
 * From `istio.workload.Address` to workloads and services. What is rejected, what is tolerated and which defaults apply
 * is as in Istio's ztunnel: a control plane that works with one must work with the other.
 */
import type {
  Address,
  ApplicationTunnel as ApplicationTunnelMessage,
  GatewayAddress as GatewayAddressMessage,
  LoadBalancing as LoadBalancingMessage,
  NetworkAddress as NetworkAddressMessage,
  Port,
  Service as ServiceMessage,
  Workload as WorkloadMessage,
} from '@ambit/proto/workload';
import { cidrOf, type IpAddress, ipAddressOf } from './ip-address.ts';
import { enumWord, portOf, rejection } from './rejection.ts';
import type { LoadBalancing, NetworkCidr, Service } from './service.ts';
import type { ApplicationTunnel, GatewayAddress, NetworkAddress, PortMap, Workload } from './workload.ts';

export type DecodedAddress =
  | { readonly is: 'workload'; readonly workload: Workload }
  | { readonly is: 'service'; readonly service: Service };

// By the numbers of istio.workload's enums. LEGACY_ISTIO_MTLS (2) is known and not supported.
const TUNNEL_PROTOCOLS = { 0: 'none', 1: 'hbone' } as const;
const IS_HOST_NETWORK = { 0: false, 1: true } as const;
const IS_HEALTHY = { 0: true, 1: false } as const;
const WORKLOAD_TYPES: Readonly<Record<number, Workload['workloadType']>> = {
  0: 'deployment',
  1: 'cronjob',
  2: 'pod',
  3: 'job',
};
const APPLICATION_PROTOCOLS = { 0: 'none', 1: 'proxy' } as const;
const IP_FAMILIES = { 0: 'automatic', 1: 'ipv4', 2: 'ipv6', 3: 'dual' } as const;
/** Without UNSPECIFIED_SCOPE (0): a preference for nothing is a mistake. */
const SCOPES = { 1: 'region', 2: 'zone', 3: 'subzone', 4: 'node', 5: 'cluster', 6: 'network' } as const;
const MODES = { 0: 'standard', 1: 'strict', 2: 'failover', 3: 'passthrough' } as const;
const ALLOWS_UNHEALTHY = { 0: false, 1: true } as const;

const DEFAULT_LOAD_BALANCING: LoadBalancing = { routingPreference: [], mode: 'standard', allowsUnhealthy: false };

/** Throws a rejection (RESOURCE_REJECTED). */
export function decodeAddress(message: Address): DecodedAddress {
  switch (message.type.case) {
    case 'workload':
      return { is: 'workload', workload: decodeWorkload(message.type.value) };
    case 'service':
      return { is: 'service', service: decodeService(message.type.value) };
    case undefined:
      throw rejection('address: neither a workload nor a service');
  }
}

function decodeWorkload(message: WorkloadMessage): Workload {
  const { locality } = message;
  return {
    uid: message.uid,
    name: message.name,
    namespace: message.namespace,
    addresses: message.addresses.map((bytes) => decodeIp(bytes, 'addresses')),
    hostname: message.hostname,
    network: message.network,
    tunnelProtocol: enumWord(TUNNEL_PROTOCOLS, message.tunnelProtocol, 'tunnel_protocol'),
    trustDomain: message.trustDomain || 'cluster.local',
    serviceAccount: message.serviceAccount || 'default',
    waypoint: message.waypoint === undefined ? null : decodeGateway(message.waypoint, 'waypoint'),
    networkGateway:
      message.networkGateway === undefined ? null : decodeGateway(message.networkGateway, 'network_gateway'),
    node: message.node,
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadType: WORKLOAD_TYPES[message.workloadType] ?? 'deployment',
    workloadName: message.workloadName,
    nativeTunnel: message.nativeTunnel,
    applicationTunnel: message.applicationTunnel === undefined ? null : decodeTunnel(message.applicationTunnel),
    services: decodeServices(message),
    authorizationPolicies: message.authorizationPolicies,
    isHealthy: enumWord(IS_HEALTHY, message.status, 'status'),
    clusterId: message.clusterId || 'Kubernetes',
    locality: { region: locality?.region ?? '', zone: locality?.zone ?? '', subzone: locality?.subzone ?? '' },
    isHostNetwork: enumWord(IS_HOST_NETWORK, message.networkMode, 'network_mode'),
    capacity: message.capacity ?? 1,
  };
}

function decodeService(message: ServiceMessage): Service {
  const vips: NetworkAddress[] = [];
  const cidrVips: NetworkCidr[] = [];
  for (const address of message.addresses) {
    if (isBlock(address)) cidrVips.push(decodeBlock(address));
    else vips.push({ network: address.network, ip: decodeIp(address.address, 'addresses') });
  }
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    vips,
    cidrVips,
    ports: decodePorts(message.ports),
    subjectAltNames: message.subjectAltNames,
    waypoint: message.waypoint === undefined ? null : decodeGateway(message.waypoint, 'waypoint'),
    weightedWaypoints: message.weightedWaypoints.map(({ destination, weight }) => {
      if (destination === undefined) throw rejection('weighted_waypoints: no destination');
      return { destination: decodeGateway(destination, 'weighted_waypoints'), weight };
    }),
    loadBalancing:
      message.loadBalancing === undefined ? DEFAULT_LOAD_BALANCING : decodeLoadBalancing(message.loadBalancing),
    ipFamilies: enumWord(IP_FAMILIES, message.ipFamilies, 'ip_families'),
    canonical: message.canonical,
    // What is not known is public: a service that vanished would be the greater surprise.
    visibility: message.visibility === 1 ? 'namespace' : 'public',
  };
}

function decodeLoadBalancing(message: LoadBalancingMessage): LoadBalancing {
  return {
    routingPreference: message.routingPreference.map((scope) => enumWord(SCOPES, scope, 'routing_preference')),
    mode: enumWord(MODES, message.mode, 'load balancing mode'),
    allowsUnhealthy: enumWord(ALLOWS_UNHEALTHY, message.healthPolicy, 'health_policy'),
  };
}

function decodeServices(message: WorkloadMessage): Map<string, PortMap> {
  const services = new Map<string, PortMap>();
  for (const [key, { ports }] of Object.entries(message.services)) {
    if (!key.includes('/')) throw rejection(`services: "${key}" is not namespace/hostname`);
    services.set(key, decodePorts(ports));
  }
  return services;
}

function decodePorts(ports: readonly Port[]): PortMap {
  return new Map(ports.map(({ servicePort, targetPort }) => [portOf(servicePort), portOf(targetPort)]));
}

function decodeTunnel({ protocol, port }: ApplicationTunnelMessage): ApplicationTunnel {
  const word = enumWord(APPLICATION_PROTOCOLS, protocol, 'application_tunnel');
  return { protocol: word, port: port === 0 ? null : portOf(port) };
}

function decodeGateway({ destination, hboneMtlsPort }: GatewayAddressMessage, field: string): GatewayAddress {
  const hbonePort = portOf(hboneMtlsPort);
  switch (destination.case) {
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      return { destination: { is: 'hostname', namespace, hostname }, hbonePort };
    }
    case 'address': {
      const { network, address } = destination.value;
      return { destination: { is: 'address', network, ip: decodeIp(address, field) }, hbonePort };
    }
    case undefined:
      throw rejection(`${field}: no destination`);
  }
}

function decodeIp(bytes: Uint8Array, field: string): IpAddress {
  const ip = ipAddressOf(bytes);
  if (ip === null) throw rejection(`${field}: an address of ${bytes.length} bytes`);
  return ip;
}

/** A length that covers the whole address says nothing more than the address. */
function isBlock({ address, length }: NetworkAddressMessage): boolean {
  return length !== undefined && length !== address.length * 8;
}

function decodeBlock({ network, address, length }: NetworkAddressMessage): NetworkCidr {
  const block = cidrOf(address, length ?? 0);
  if (block === null) throw rejection(`addresses: ${address.length} bytes with a prefix of ${length} bits`);
  return { network, block };
}
