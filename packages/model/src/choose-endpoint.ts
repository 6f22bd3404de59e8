/**
 * Which endpoint of a service gets a connection, as in Istio's ztunnel: those that can be reached on the port, of these
 * the ones that match the routing preference best, of these one by chance, weighted by capacity.
 */
import type { Rng } from '@ambit/base/rng';
import type { Endpoint, MeshIndex } from './mesh-index.ts';
import type { LoadBalancing, LoadBalancingScope, Service } from './service.ts';
import type { Workload } from './workload.ts';

/** A waypoint is found by its service; that service need not have the port if the waypoint has its own tunnel. */
export type ResolutionMode = 'standard' | 'waypoint';

export interface ChosenEndpoint {
  readonly workload: Workload;
  readonly port: number;
}

/** Null when nothing can take the call: no such port, no endpoint, none preferred enough, no capacity. */
export function chooseEndpoint(
  index: MeshIndex,
  source: Workload,
  service: Service,
  servicePort: number,
  mode: ResolutionMode,
  rng: Rng,
): ChosenEndpoint | null {
  if (mode === 'standard' && !service.ports.has(servicePort)) return null;
  const usable = index
    .endpoints(service)
    .filter((endpoint) => isReachable(endpoint, source) && hasPort(endpoint, service, servicePort, mode));
  const chosen = chooseWeighted(
    preferred(usable, source, service.loadBalancing),
    ({ workload }) => workload.capacity,
    rng,
  );
  if (chosen === null) return null;
  const port = targetPortOf(chosen, service, servicePort);
  return port === null ? null : { workload: chosen.workload, port };
}

/** By chance; null when no weight is above 0. */
export function chooseWeighted<Value>(
  from: readonly Value[],
  weightOf: (value: Value) => number,
  rng: Rng,
): Value | null {
  const sum = from.reduce((total, value) => total + weightOf(value), 0);
  if (sum === 0) return null;
  let draw = rng.next() * sum;
  let chosen: Value | null = null;
  for (const value of from) {
    const weight = weightOf(value);
    if (weight === 0) continue;
    chosen = value;
    if (draw < weight) return chosen;
    draw -= weight;
  }
  // Rounding may leave a rest of the draw: it belongs to the last.
  return chosen;
}

/**
 * How well a workload fits a routing preference, or null if STRICT forbids it: the count of scopes matched in order up to
 * the first that differs. NETWORK in the first place does not end the count, and a match there outweighs all others.
 */
export function rankOf(source: Workload, target: Workload, { routingPreference, mode }: LoadBalancing): number | null {
  let rank = 0;
  let bonus = 0;
  for (const scope of routingPreference) {
    const isFirstNetwork = scope === 'network' && routingPreference[0] === 'network';
    if (matchesScope(scope, source, target)) {
      if (isFirstNetwork) bonus = routingPreference.length - 1;
      rank += 1;
    } else if (!isFirstNetwork) {
      break;
    }
  }
  if (mode === 'strict' && rank !== routingPreference.length) return null;
  return rank + bonus;
}

/** Each level by itself: two zones of one name in different regions are equal, and so are two that are not named. */
function matchesScope(scope: LoadBalancingScope, source: Workload, target: Workload): boolean {
  switch (scope) {
    case 'region':
    case 'zone':
    case 'subzone':
      return source.locality[scope] === target.locality[scope];
    case 'node':
      return source.node === target.node;
    case 'cluster':
      return source.clusterId === target.clusterId;
    case 'network':
      return source.network === target.network;
  }
}

function preferred(
  endpoints: readonly Endpoint[],
  source: Workload,
  loadBalancing: LoadBalancing,
): readonly Endpoint[] {
  if (loadBalancing.mode === 'standard') return endpoints;
  const ranks = endpoints.map(({ workload }) => rankOf(source, workload, loadBalancing));
  const highest = ranks.reduce<number>((max, rank) => Math.max(max, rank ?? -1), -1);
  return endpoints.filter((_, index) => ranks[index] === highest);
}

/** Without an address it can only be behind the gateway of another network. */
function isReachable({ workload }: Endpoint, source: Workload): boolean {
  if (workload.addresses.length > 0 || workload.hostname !== '') return true;
  return workload.network !== source.network && workload.networkGateway !== null;
}

function hasPort({ workload, ports }: Endpoint, service: Service, servicePort: number, mode: ResolutionMode): boolean {
  if (mode === 'waypoint') return service.ports.has(servicePort) || workload.applicationTunnel !== null;
  return (service.ports.get(servicePort) ?? 0) !== 0 || ports.has(servicePort);
}

function targetPortOf({ workload, ports }: Endpoint, service: Service, servicePort: number): number | null {
  const own = ports.get(servicePort);
  if (own !== undefined) return own;
  const common = service.ports.get(servicePort) ?? 0;
  if (common > 0) return common;
  return workload.applicationTunnel !== null && workload.applicationTunnel.port !== null ? servicePort : null;
}
