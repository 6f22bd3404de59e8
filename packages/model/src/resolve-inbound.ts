/**
 * Where a CONNECT that reached a workload's proxy goes, as Istio's ztunnel decides it (its src/proxy/inbound.rs): always
 * to the address it came in on, at the port that the authority means. The address in the authority is only checked.
 */
import type { IpAddress } from './ip-address.ts';
import { bestService, findAddress, findGateway, type MeshIndex } from './mesh-index.ts';
import { type Service, serviceKey } from './service.ts';
import type { GatewayAddress, Workload } from './workload.ts';

export type InboundAuthority =
  | { readonly is: 'ip'; readonly ip: IpAddress; readonly port: number }
  | { readonly is: 'host'; readonly host: string; readonly port: number };

export interface InboundRequest {
  /** Whose proxy this is. */
  readonly workload: Workload;
  readonly network: string;
  /** The address that the connection came in on. */
  readonly localIp: IpAddress;
  readonly authority: InboundAuthority;
  /** The proxy's own: nobody has business there. */
  readonly ownPorts: readonly number[];
}

export type InboundResolution =
  | {
      readonly is: 'forward';
      /** Behind every mapping; authorization looks at this one. */
      readonly port: number;
      /** Named by the authority; null when an address was. */
      readonly service: Service | null;
      /** The application wants a PROXY header before the bytes. */
      readonly proxyProtocol: boolean;
    }
  /** The status that the client gets; the reason is in the words of ztunnel's log. */
  | { readonly is: 'refuse'; readonly status: 400 | 503; readonly reason: string };

export function resolveInbound(index: MeshIndex, request: InboundRequest): InboundResolution {
  const { workload, authority, ownPorts } = request;
  if (authority.is === 'ip' && !mayAsk(index, request, authority.ip)) {
    return refuse(400, `ip mismatch: ${request.localIp} != ${authority.ip}`);
  }
  const service = authority.is === 'host' ? serviceFor(index, workload, authority.host) : null;
  if (authority.is === 'host' && service === null) {
    return refuse(503, `no service or workload for hostname: ${authority.host}`);
  }
  const port = service === null ? authority.port : targetPort(service, workload, authority.port);
  if (port === 0) {
    return refuse(503, `requested service ${service?.hostname}:${authority.port} found, but cannot resolve port`);
  }
  if (ownPorts.includes(port)) return refuse(503, 'attempted recursive call to ourselves');
  const tunnel = workload.applicationTunnel;
  return { is: 'forward', port: tunnel?.port ?? port, service, proxyProtocol: tunnel?.protocol === 'proxy' };
}

/** Ours, behind our application tunnel, or the address of something whose waypoint we are. */
function mayAsk(index: MeshIndex, { workload, network, localIp }: InboundRequest, asked: IpAddress): boolean {
  if (asked.equals(localIp) || workload.applicationTunnel !== null) return true;
  const found = findAddress(index, network, asked, workload.namespace);
  if (found === null) return false;
  const waypoint = found.is === 'service' ? found.service.waypoint : found.workload.waypoint;
  return waypoint !== null && isWaypoint(index, waypoint, workload, localIp);
}

function isWaypoint(index: MeshIndex, reference: GatewayAddress, workload: Workload, localIp: IpAddress): boolean {
  const found = findGateway(index, reference);
  if (found === null) return false;
  if (found.is === 'workload') return found.workload.addresses.some((ip) => ip.equals(localIp));
  return index.endpoints(found.service).some((endpoint) => endpoint.workload.uid === workload.uid);
}

function serviceFor(index: MeshIndex, workload: Workload, hostname: string): Service | null {
  return bestService(index.servicesByHostname(hostname), workload.namespace);
}

/** What the workload itself says of this service goes before what the service says; 0: neither knows the port. */
function targetPort(service: Service, workload: Workload, servicePort: number): number {
  return workload.services.get(serviceKey(service))?.get(servicePort) || (service.ports.get(servicePort) ?? 0);
}

function refuse(status: 400 | 503, reason: string): InboundResolution {
  return { is: 'refuse', status, reason };
}
