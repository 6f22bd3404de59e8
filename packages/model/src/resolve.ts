/**
 * Where an outbound connection goes, as Istio's ztunnel decides it: to a waypoint, to the workload over HBONE or in the
 * clear, through a gateway to another network, or as it came. A waypoint or a service that is known and cannot be reached
 * is a rejection: nothing that should be checked there may go around it.
 */
import type { Rng } from '@ambit/base/rng';
import { type ChosenEndpoint, chooseEndpoint, chooseWeighted, type ResolutionMode } from './choose-endpoint.ts';
import { type Identity, parseIdentity, sameIdentity } from './identity.ts';
import type { IpAddress } from './ip-address.ts';
import { bestServiceByVip, findAddress, findGateway, findHostname, type MeshIndex } from './mesh-index.ts';
import { type Service, serviceKey } from './service.ts';
import type { GatewayAddress, Workload } from './workload.ts';

export interface OutboundCall {
  /** Whose proxy this is; never guessed from the socket. */
  readonly source: Workload;
  /** The network the proxy is on, by its configuration. */
  readonly network: string;
  readonly clientIp: IpAddress;
  readonly destinationIp: IpAddress;
  readonly destinationPort: number;
  /** The proxy's own: nobody has business there. */
  readonly ownPorts: readonly number[];
}

/** Workloads may have a name in place of an address; who dials resolves it, `prefersIpv6` if it can choose. */
export type DialHost =
  | { readonly is: 'ip'; readonly ip: IpAddress }
  | { readonly is: 'hostname'; readonly hostname: string; readonly prefersIpv6: boolean };

export interface RejectedCall {
  readonly is: 'reject';
  readonly code: 'self-call' | 'no-healthy-upstream' | 'unknown-waypoint' | 'unknown-gateway' | 'no-valid-destination';
  /** In the words of ztunnel's log. */
  readonly reason: string;
}

/** The next party on the way, and for which service, if one was called. */
export interface Hop {
  readonly workload: Workload;
  readonly service: Service | null;
  readonly host: DialHost;
  readonly port: number;
}

/** One of them must be in the certificate of who is dialled. None at all accepts nobody. */
interface Verified {
  readonly identities: readonly Identity[];
}

export type Resolution =
  | RejectedCall
  /** Not of the mesh: dial what the application dialled. */
  | { readonly is: 'passthrough' }
  /** The workload speaks no HBONE: dial it. */
  | (Hop & { readonly is: 'direct' })
  /** Dial the host at the HBONE port; the authority is its address and `port`. */
  | (Hop & Verified & { readonly is: 'hbone' })
  /** Dial the waypoint at `port`; the authority is the original destination. */
  | (Hop & Verified & { readonly is: 'waypoint' })
  /** Dial the gateway at `port`, and in its tunnel another; the authority of both is the service's name and port. */
  | (Hop &
      Verified & { readonly is: 'double'; readonly service: Service; readonly innerIdentities: readonly Identity[] });

/** A workload that was chosen, and how to dial it; the host is null if only a gateway leads there. */
interface Upstream extends ChosenEndpoint {
  readonly host: DialHost | null;
  readonly service: Service | null;
}

type Found = Upstream | RejectedCall | null;

export function resolve(index: MeshIndex, call: OutboundCall, rng: Rng): Resolution {
  const { source, destinationIp, destinationPort } = call;
  if (destinationIp.isLoopback && call.ownPorts.includes(destinationPort)) {
    return reject('self-call', 'attempted recursive call to ourselves');
  }
  const addressed = findAddress(index, call.network, destinationIp, source.namespace);
  const service = addressed?.is === 'service' ? addressed.service : null;
  if (service !== null) {
    const reference = waypointOf(service, rng);
    if (reference !== null) return throughServiceWaypoint(index, call, service, reference, rng);
  }

  const upstream = findUpstream(index, source, source.network, destinationIp, destinationPort, 'standard', rng);
  if (upstream === null) {
    if (service === null || service.loadBalancing.mode === 'passthrough') return { is: 'passthrough' };
    return reject('no-healthy-upstream', `no healthy upstream: ${formatDestination(call)}`);
  }
  if (isRejected(upstream)) return upstream;
  if (upstream.workload.network !== source.network) {
    if (service === null) return noValidDestination(upstream.workload);
    return throughGateway(index, call, upstream, service, rng);
  }

  const { waypoint } = upstream.workload;
  // Who called a service has passed its waypoint, if it has one; and a waypoint is not sent to itself.
  if (waypoint !== null && service === null && !isFromWaypoint(index, call, waypoint)) {
    return toWaypoint(findWaypoint(index, call, waypoint, rng), upstream.service);
  }
  return toWorkload(upstream);
}

function throughServiceWaypoint(
  index: MeshIndex,
  call: OutboundCall,
  service: Service,
  reference: GatewayAddress,
  rng: Rng,
): Resolution {
  const waypoint = findWaypoint(index, call, reference, rng);
  if (!isRejected(waypoint) && waypoint.workload.network !== call.source.network) {
    return throughGateway(index, call, waypoint, service, rng);
  }
  return toWaypoint(waypoint, service);
}

function toWaypoint(waypoint: Upstream | RejectedCall, service: Service | null): Resolution {
  if (isRejected(waypoint)) return waypoint;
  const { workload, host, port } = waypoint;
  if (host === null) return noValidDestination(workload);
  return { is: 'waypoint', workload, service, host, port, identities: allIdentities(waypoint) };
}

function toWorkload(upstream: Upstream): Resolution {
  const { workload, service, host, port } = upstream;
  if (host === null) return noValidDestination(workload);
  if (workload.tunnelProtocol === 'none') return { is: 'direct', workload, service, host, port };
  return { is: 'hbone', workload, service, host, port, identities: allIdentities(upstream) };
}

/** The gateway ends the outer tunnel; the inner one ends at the target, known by the names of its service alone. */
function throughGateway(
  index: MeshIndex,
  call: OutboundCall,
  target: Upstream,
  service: Service,
  rng: Rng,
): Resolution {
  const { networkGateway } = target.workload;
  if (networkGateway === null) return noValidDestination(target.workload);
  const gateway = findReference(index, call, networkGateway, 'standard', rng);
  if (gateway === null) return reject('unknown-gateway', `unknown network gateway: ${formatReference(networkGateway)}`);
  if (isRejected(gateway)) return gateway;
  const { workload, host, port } = gateway;
  if (host === null) return noValidDestination(workload);
  const innerIdentities = serviceIdentities(target.service);
  return { is: 'double', workload, service, host, port, identities: allIdentities(gateway), innerIdentities };
}

/** One of the weighted ones by chance, else the one. */
function waypointOf(service: Service, rng: Rng): GatewayAddress | null {
  const sampled = chooseWeighted(service.weightedWaypoints, ({ weight }) => weight, rng);
  return sampled?.destination ?? service.waypoint;
}

function findWaypoint(
  index: MeshIndex,
  call: OutboundCall,
  reference: GatewayAddress,
  rng: Rng,
): Upstream | RejectedCall {
  const found = findReference(index, call, reference, 'waypoint', rng);
  return found ?? reject('unknown-waypoint', `unknown waypoint: ${formatReference(reference)}`);
}

/** By address the family is that of the reference, by name that of the caller. */
function findReference(
  index: MeshIndex,
  { source, destinationIp }: OutboundCall,
  { destination, hbonePort }: GatewayAddress,
  mode: ResolutionMode,
  rng: Rng,
): Found {
  if (destination.is === 'address') {
    return findUpstream(index, source, destination.network, destination.ip, hbonePort, mode, rng);
  }
  const found = findHostname(index, destination);
  if (found === null) return null;
  if (found.is === 'workload') return dialable({ workload: found.workload, port: hbonePort }, null, destinationIp);
  const chosen = chooseEndpoint(index, source, found.service, hbonePort, mode, rng);
  return chosen === null ? null : dialable(chosen, found.service, destinationIp);
}

/** A service before a workload: the other way round than asking whose an address is. */
function findUpstream(
  index: MeshIndex,
  source: Workload,
  network: string,
  ip: IpAddress,
  port: number,
  mode: ResolutionMode,
  rng: Rng,
): Found {
  const service = bestServiceByVip(index, network, ip, source.namespace);
  if (service !== null) {
    if (service.loadBalancing.mode === 'passthrough') return null;
    const chosen = chooseEndpoint(index, source, service, port, mode, rng);
    return chosen === null ? null : dialable(chosen, service, ip);
  }
  const workload = index.workloadByAddress(network, ip);
  return workload === null ? null : dialable({ workload, port }, null, ip);
}

/** The address that was dialled if the workload has it; else one that the service allows, of the same family if there is. */
function dialable(
  { workload, port }: ChosenEndpoint,
  service: Service | null,
  dialled: IpAddress,
): Upstream | RejectedCall {
  const { addresses, hostname, networkGateway } = workload;
  const allowed = addresses.filter(({ isIpv6 }) => allowsFamily(service, isIpv6));
  const ip =
    addresses.find((address) => address.equals(dialled)) ??
    allowed.find(({ isIpv6 }) => isIpv6 === dialled.isIpv6) ??
    allowed[0];
  if (ip !== undefined) return { workload, port, service, host: { is: 'ip', ip } };
  if (hostname !== '')
    return { workload, port, service, host: { is: 'hostname', hostname, prefersIpv6: dialled.isIpv6 } };
  return networkGateway === null ? noValidDestination(workload) : { workload, port, service, host: null };
}

function allowsFamily(service: Service | null, isIpv6: boolean): boolean {
  if (service === null) return true;
  return isIpv6 ? service.ipFamilies !== 'ipv4' : service.ipFamilies !== 'ipv6';
}

/** The caller is one of the waypoint's workloads: by identity and by address. */
function isFromWaypoint(index: MeshIndex, { source, clientIp }: OutboundCall, reference: GatewayAddress): boolean {
  const found = findGateway(index, reference);
  if (found === null) return false;
  const workloads =
    found.is === 'workload' ? [found.workload] : index.endpoints(found.service).map(({ workload }) => workload);
  return workloads.some(
    (workload) =>
      sameIdentity(identityOf(workload), identityOf(source)) && workload.addresses.some((ip) => ip.equals(clientIp)),
  );
}

function allIdentities({ service, workload }: Upstream): Identity[] {
  return [...serviceIdentities(service), identityOf(workload)];
}

/** What is no SPIFFE id of our form can be nobody's. */
function serviceIdentities(service: Service | null): Identity[] {
  return (service?.subjectAltNames ?? []).map(parseIdentity).filter((identity) => identity !== null);
}

function identityOf({ trustDomain, namespace, serviceAccount }: Workload): Identity {
  return { trustDomain, namespace, serviceAccount };
}

function isRejected(found: Upstream | RejectedCall): found is RejectedCall {
  return 'is' in found;
}

function reject(code: RejectedCall['code'], reason: string): RejectedCall {
  return { is: 'reject', code, reason };
}

function noValidDestination({ uid }: Workload): RejectedCall {
  return reject('no-valid-destination', `no valid routing destination for workload: ${uid}`);
}

function formatDestination({ destinationIp, destinationPort }: OutboundCall): string {
  return destinationIp.isIpv6 ? `[${destinationIp}]:${destinationPort}` : `${destinationIp}:${destinationPort}`;
}

function formatReference({ destination, hbonePort }: GatewayAddress): string {
  const name = destination.is === 'hostname' ? serviceKey(destination) : `${destination.network}/${destination.ip}`;
  return `${name} port ${hbonePort}`;
}
