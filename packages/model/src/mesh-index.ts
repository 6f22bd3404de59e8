/**
 * What routing asks of the mesh's state, and which of several answers it takes. An index only finds candidates; ranking
 * is here, as in Istio's ztunnel: own namespace, then canonical, then the first; blocks only where no address fits.
 */
import type { IpAddress } from './ip-address.ts';
import type { Service } from './service.ts';
import type { GatewayAddress, NamespacedHostname, PortMap, Workload } from './workload.ts';

export interface Endpoint {
  readonly workload: Workload;
  /** As the workload says it for this service. */
  readonly ports: PortMap;
}

export interface CidrCandidate {
  readonly service: Service;
  readonly prefixBits: number;
}

/** Answers are in a fixed order: the first of equals wins. */
export interface MeshIndex {
  /** Not those on the network of their node. */
  workloadByAddress(network: string, ip: IpAddress): Workload | null;
  workloadByHostname(name: NamespacedHostname): Workload | null;
  servicesByVip(network: string, ip: IpAddress): readonly Service[];
  /** Services with a block that contains the address. */
  servicesByCidr(network: string, ip: IpAddress): readonly CidrCandidate[];
  serviceByHostname(name: NamespacedHostname): Service | null;
  /** Of every namespace. */
  servicesByHostname(hostname: string): readonly Service[];
  /** Without those that are unhealthy, unless the service allows them. */
  endpoints(service: Service): readonly Endpoint[];
}

export type FoundAddress =
  | { readonly is: 'workload'; readonly workload: Workload }
  | { readonly is: 'service'; readonly service: Service };

/** For whom an address is: a workload before a service. Routing asks the other way round, see resolve.ts. */
export function findAddress(
  index: MeshIndex,
  network: string,
  ip: IpAddress,
  clientNamespace: string | null,
): FoundAddress | null {
  const workload = index.workloadByAddress(network, ip);
  if (workload !== null) return { is: 'workload', workload };
  const service = bestServiceByVip(index, network, ip, clientNamespace);
  return service === null ? null : { is: 'service', service };
}

/** Waypoints and gateways by name: services are the usual case. */
export function findHostname(index: MeshIndex, name: NamespacedHostname): FoundAddress | null {
  const service = index.serviceByHostname(name);
  if (service !== null) return { is: 'service', service };
  const workload = index.workloadByHostname(name);
  return workload === null ? null : { is: 'workload', workload };
}

/** What a reference to a waypoint or gateway names, for nobody in particular. */
export function findGateway(index: MeshIndex, { destination }: GatewayAddress): FoundAddress | null {
  if (destination.is === 'hostname') return findHostname(index, destination);
  return findAddress(index, destination.network, destination.ip, null);
}

/** Without a client's namespace, everything is visible and no namespace is preferred. */
export function bestServiceByVip(
  index: MeshIndex,
  network: string,
  ip: IpAddress,
  clientNamespace: string | null,
): Service | null {
  const exact = bestService(index.servicesByVip(network, ip), clientNamespace);
  if (exact !== null) return exact;
  let best: CidrCandidate | null = null;
  for (const candidate of index.servicesByCidr(network, ip)) {
    if (!isVisible(candidate.service, clientNamespace)) continue;
    if (best === null || isBetterBlock(candidate, best, clientNamespace)) best = candidate;
  }
  return best?.service ?? null;
}

/** Of services with one address or hostname. */
export function bestService(candidates: readonly Service[], clientNamespace: string | null): Service | null {
  let best: Service | null = null;
  for (const candidate of candidates) {
    if (!isVisible(candidate, clientNamespace)) continue;
    if (clientNamespace !== null && candidate.namespace === clientNamespace) return candidate;
    if (best === null || (candidate.canonical && !best.canonical)) best = candidate;
  }
  return best;
}

/** Namespace, then the longer prefix, then canonical. */
function isBetterBlock(a: CidrCandidate, b: CidrCandidate, clientNamespace: string | null): boolean {
  const isNearA = a.service.namespace === clientNamespace;
  if (isNearA !== (b.service.namespace === clientNamespace)) return isNearA;
  if (a.prefixBits !== b.prefixBits) return a.prefixBits > b.prefixBits;
  return a.service.canonical && !b.service.canonical;
}

function isVisible(service: Service, clientNamespace: string | null): boolean {
  return service.visibility === 'public' || clientNamespace === null || service.namespace === clientNamespace;
}
