/** An index over a handful of workloads and services, found by looking at all of them; and how tests make those. */
import { type Cidr, type IpAddress, parseIpAddress } from './ip-address.ts';
import type { MeshIndex } from './mesh-index.ts';
import { type Service, serviceKey } from './service.ts';
import type { GatewayAddress, PortMap, Workload } from './workload.ts';

export const ip = (text: string): IpAddress => parseIpAddress(text)!;

export function workload(name: string, given: Partial<Workload> = {}): Workload {
  return {
    uid: `c//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    addresses: [],
    hostname: '',
    network: '',
    tunnelProtocol: 'hbone',
    trustDomain: 'cluster.local',
    serviceAccount: name,
    waypoint: null,
    networkGateway: null,
    node: 'n1',
    canonicalName: name,
    canonicalRevision: '',
    workloadType: 'pod',
    workloadName: name,
    nativeTunnel: false,
    applicationTunnel: null,
    services: new Map(),
    authorizationPolicies: [],
    isHealthy: true,
    clusterId: 'c',
    locality: { region: '', zone: '', subzone: '' },
    isHostNetwork: false,
    capacity: 1,
    ...given,
  };
}

/** Its hostname is `<name>.<namespace>`. */
export function service(name: string, given: Partial<Service> = {}): Service {
  const { namespace = 'shop' } = given;
  return {
    name,
    namespace,
    hostname: `${name}.${namespace}`,
    vips: [],
    cidrVips: [],
    ports: ports([80, 8080]),
    subjectAltNames: [],
    waypoint: null,
    weightedWaypoints: [],
    loadBalancing: { routingPreference: [], mode: 'standard', allowsUnhealthy: false },
    ipFamilies: 'automatic',
    canonical: false,
    visibility: 'public',
    ...given,
  };
}

export function ports(...pairs: readonly (readonly [number, number])[]): PortMap {
  return new Map(pairs);
}

export function vip(address: string, network = ''): Service['vips'][number] {
  return { network, ip: ip(address) };
}

export function cidrVip(block: Cidr, network = ''): Service['cidrVips'][number] {
  return { network, block };
}

export function byAddress(address: string, hbonePort = 15_008, network = ''): GatewayAddress {
  return { destination: { is: 'address', network, ip: ip(address) }, hbonePort };
}

export function byName(hostname: string, hbonePort = 15_008, namespace = 'shop'): GatewayAddress {
  return { destination: { is: 'hostname', namespace, hostname }, hbonePort };
}

export function meshOf(workloads: readonly Workload[], services: readonly Service[]): MeshIndex {
  return {
    workloadByAddress: (network, address) =>
      workloads.find(
        (one) => !one.isHostNetwork && one.network === network && one.addresses.some((own) => own.equals(address)),
      ) ?? null,
    workloadByHostname: ({ namespace, hostname }) =>
      workloads.find((one) => one.namespace === namespace && one.hostname === hostname) ?? null,
    servicesByVip: (network, address) =>
      services.filter(({ vips }) => vips.some((own) => own.network === network && own.ip.equals(address))),
    servicesByCidr: (network, address) =>
      services.flatMap((one) =>
        one.cidrVips
          .filter((own) => own.network === network && own.block.contains(address))
          .map(({ block }) => ({ service: one, prefixBits: block.prefixBits })),
      ),
    serviceByHostname: (name) => services.find((one) => serviceKey(one) === serviceKey(name)) ?? null,
    servicesByHostname: (hostname) => services.filter((one) => one.hostname === hostname),
    endpoints: (of) =>
      workloads.flatMap((one) => {
        const mapping = one.services.get(serviceKey(of));
        if (mapping === undefined || !(one.isHealthy || of.loadBalancing.allowsUnhealthy)) return [];
        return [{ workload: one, ports: mapping }];
      }),
  };
}
