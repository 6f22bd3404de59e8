/**
 * Services by what they are asked for by, and the workloads that say they belong to one. Where Istio's ztunnel keeps the
 * order of arrival (two services with one address) or forgets (an unhealthy endpoint of a service that later allows
 * those), answers here follow from what is stored: a mesh that was read again decides as before.
 */
import type { IpAddress } from '@ambit/model/ip-address';
import type { CidrCandidate, Endpoint } from '@ambit/model/mesh-index';
import { type Service, serviceKey } from '@ambit/model/service';
import type { PortMap, Workload } from '@ambit/model/workload';
import { AddressMap } from './address-map.ts';

const NO_SERVICES: readonly Service[] = [];
const NO_ENDPOINTS: readonly Endpoint[] = [];
const NO_PORTS: PortMap = new Map();

export class ServiceStore {
  readonly #byKey = new Map<string, Service>();
  // Lists are sorted and never changed: who holds one may go on reading.
  readonly #byVip = new AddressMap<readonly Service[]>();
  readonly #byHostname = new Map<string, readonly Service[]>();
  #withBlocks: readonly Service[] = NO_SERVICES;
  /** By key of the service, which need not have come yet. */
  readonly #members = new Map<string, Members>();

  get size(): number {
    return this.#byKey.size;
  }

  /** Entries of the other indexes: nothing, when neither services nor workloads are stored. */
  get indexEntries(): number {
    return this.#byVip.size + this.#byHostname.size + this.#withBlocks.length + this.#members.size;
  }

  values(): Iterable<Service> {
    return this.#byKey.values();
  }

  get(key: string): Service | undefined {
    return this.#byKey.get(key);
  }

  byVip(network: string, ip: IpAddress): readonly Service[] {
    return this.#byVip.get(network, ip) ?? NO_SERVICES;
  }

  byHostname(hostname: string): readonly Service[] {
    return this.#byHostname.get(hostname) ?? NO_SERVICES;
  }

  byCidr(network: string, ip: IpAddress): readonly CidrCandidate[] {
    const found: CidrCandidate[] = [];
    for (const service of this.#withBlocks) {
      for (const { network: own, block } of service.cidrVips) {
        if (own === network && block.contains(ip)) found.push({ service, prefixBits: block.prefixBits });
      }
    }
    return found;
  }

  endpoints(service: Service): readonly Endpoint[] {
    const key = serviceKey(service);
    return this.#members.get(key)?.endpoints(key, service.loadBalancing.allowsUnhealthy) ?? NO_ENDPOINTS;
  }

  /** In place of the one of the same name. */
  insert(service: Service): void {
    const key = serviceKey(service);
    this.remove(key);
    this.#byKey.set(key, service);
    for (const { network, ip } of service.vips) {
      this.#byVip.set(network, ip, withService(this.byVip(network, ip), service));
    }
    this.#byHostname.set(service.hostname, withService(this.byHostname(service.hostname), service));
    if (service.cidrVips.length > 0) this.#withBlocks = withService(this.#withBlocks, service);
  }

  remove(key: string): Service | null {
    const service = this.#byKey.get(key);
    if (service === undefined) return null;
    this.#byKey.delete(key);
    for (const { network, ip } of service.vips) {
      const others = withoutService(this.byVip(network, ip), service);
      if (others.length === 0) this.#byVip.delete(network, ip);
      else this.#byVip.set(network, ip, others);
    }
    const others = withoutService(this.byHostname(service.hostname), service);
    if (others.length === 0) this.#byHostname.delete(service.hostname);
    else this.#byHostname.set(service.hostname, others);
    if (service.cidrVips.length > 0) this.#withBlocks = withoutService(this.#withBlocks, service);
    return service;
  }

  join(workload: Workload): void {
    for (const key of workload.services.keys()) {
      let members = this.#members.get(key);
      if (members === undefined) {
        members = new Members();
        this.#members.set(key, members);
      }
      members.add(workload);
    }
  }

  leave(workload: Workload): void {
    for (const key of workload.services.keys()) {
      const members = this.#members.get(key);
      if (members === undefined) continue;
      members.delete(workload);
      if (members.size === 0) this.#members.delete(key);
    }
  }
}

/** The list is made when it is asked for: a service of 10,000 that all come at once is listed once. */
class Members {
  readonly #workloads = new Set<Workload>();
  #healthy: readonly Endpoint[] | null = null;
  #all: readonly Endpoint[] | null = null;

  get size(): number {
    return this.#workloads.size;
  }

  add(workload: Workload): void {
    this.#workloads.add(workload);
    this.#forgetLists();
  }

  delete(workload: Workload): void {
    this.#workloads.delete(workload);
    this.#forgetLists();
  }

  endpoints(key: string, allowsUnhealthy: boolean): readonly Endpoint[] {
    if (allowsUnhealthy) {
      this.#all ??= this.#list(key, true);
      return this.#all;
    }
    this.#healthy ??= this.#list(key, false);
    return this.#healthy;
  }

  #list(key: string, allowsUnhealthy: boolean): readonly Endpoint[] {
    const endpoints: Endpoint[] = [];
    for (const workload of this.#workloads) {
      if (!allowsUnhealthy && !workload.isHealthy) continue;
      endpoints.push({ workload, ports: workload.services.get(key) ?? NO_PORTS });
    }
    return endpoints;
  }

  #forgetLists(): void {
    this.#healthy = null;
    this.#all = null;
  }
}

/** A service with one address twice is in the list once. */
function withService(list: readonly Service[], added: Service): readonly Service[] {
  if (list.includes(added)) return list;
  const place = list.findIndex((one) => isBefore(added, one));
  return list.toSpliced(place === -1 ? list.length : place, 0, added);
}

function withoutService(list: readonly Service[], removed: Service): readonly Service[] {
  return list.filter((one) => one !== removed);
}

function isBefore(a: Service, b: Service): boolean {
  return a.namespace === b.namespace ? a.hostname < b.hostname : a.namespace < b.namespace;
}
