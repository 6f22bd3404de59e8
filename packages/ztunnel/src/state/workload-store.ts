/**
 * Workloads by everything they are asked for by, as in Istio's ztunnel (its src/state/workload.rs). Of several on one
 * address a pod of the mesh is believed first, then a pod, then another of the mesh, then the one that came last: it has
 * the address now, and the removal of the one before it is on its way.
 */
import { formatIdentity } from '@ambit/model/identity';
import type { IpAddress } from '@ambit/model/ip-address';
import type { NamespacedHostname, Workload } from '@ambit/model/workload';
import { AddressMap } from './address-map.ts';
import { SharedParts } from './shared-parts.ts';

/** As ZDS and PROXY_WORKLOAD_INFO name a workload of this node. */
export interface WorkloadInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export class WorkloadStore {
  readonly #localNode: string | null;
  readonly #shared: SharedParts;
  /** In the order in which they came last: a store built in this order is the same. */
  readonly #byUid = new Map<string, Workload>();
  readonly #byAddress = new AddressMap<OneOrMany>();
  readonly #byHostname = new Map<string, OneOrMany>();
  readonly #local = new Map<string, Set<Workload>>();
  /** How many local workloads have an identity, by its SPIFFE id. */
  readonly #localIdentities = new Map<string, number>();

  /** Without a node's name every workload is local. */
  constructor(localNode: string | null, sharedPartsMax: number) {
    this.#localNode = localNode;
    this.#shared = new SharedParts(sharedPartsMax);
  }

  get size(): number {
    return this.#byUid.size;
  }

  /** Entries of the other indexes: nothing, when nothing is stored. */
  get indexEntries(): number {
    return this.#byAddress.size + this.#byHostname.size + this.#local.size + this.#localIdentities.size;
  }

  values(): Iterable<Workload> {
    return this.#byUid.values();
  }

  get(uid: string): Workload | undefined {
    return this.#byUid.get(uid);
  }

  byAddress(network: string, ip: IpAddress): Workload | null {
    return mostBelieved(this.#byAddress.get(network, ip));
  }

  byHostname(name: NamespacedHostname): Workload | null {
    return mostBelieved(this.#byHostname.get(hostnameKey(name)));
  }

  local({ name, namespace, serviceAccount }: WorkloadInfo): Workload | null {
    const candidates = this.#local.get(localKey(namespace, serviceAccount));
    if (candidates === undefined) return null;
    for (const candidate of candidates) if (candidate.name === name) return candidate;
    return null;
  }

  isLocal(workload: Workload): boolean {
    return this.#localNode === null || workload.node === this.#localNode;
  }

  hasLocalIdentity(workload: Workload): boolean {
    return this.#localIdentities.has(formatIdentity(workload));
  }

  /** The caller has removed what was there under this uid. Gives the form that is kept. */
  insert(given: Workload): Workload {
    const workload = this.#shared.workload(given);
    this.#byUid.set(workload.uid, workload);
    if (!workload.isHostNetwork) {
      for (const ip of workload.addresses) {
        const others = this.#byAddress.get(workload.network, ip);
        this.#byAddress.set(workload.network, ip, withOne(others, workload));
      }
    }
    if (workload.hostname !== '') {
      const key = hostnameKey(workload);
      this.#byHostname.set(key, withOne(this.#byHostname.get(key), workload));
    }
    if (this.isLocal(workload)) this.#insertLocal(workload);
    return workload;
  }

  remove(uid: string): Workload | null {
    const workload = this.#byUid.get(uid);
    if (workload === undefined) return null;
    this.#byUid.delete(uid);
    if (!workload.isHostNetwork) {
      for (const ip of workload.addresses) {
        const others = withoutOne(this.#byAddress.get(workload.network, ip), workload);
        if (others === undefined) this.#byAddress.delete(workload.network, ip);
        else this.#byAddress.set(workload.network, ip, others);
      }
    }
    if (workload.hostname !== '') {
      const key = hostnameKey(workload);
      const others = withoutOne(this.#byHostname.get(key), workload);
      if (others === undefined) this.#byHostname.delete(key);
      else this.#byHostname.set(key, others);
    }
    if (this.isLocal(workload)) this.#removeLocal(workload);
    return workload;
  }

  #insertLocal(workload: Workload): void {
    const key = localKey(workload.namespace, workload.serviceAccount);
    const others = this.#local.get(key);
    if (others === undefined) this.#local.set(key, new Set([workload]));
    else others.add(workload);
    const identity = formatIdentity(workload);
    this.#localIdentities.set(identity, (this.#localIdentities.get(identity) ?? 0) + 1);
  }

  #removeLocal(workload: Workload): void {
    const key = localKey(workload.namespace, workload.serviceAccount);
    const others = this.#local.get(key);
    others?.delete(workload);
    if (others?.size === 0) this.#local.delete(key);
    const identity = formatIdentity(workload);
    const left = (this.#localIdentities.get(identity) ?? 0) - 1;
    if (left <= 0) this.#localIdentities.delete(identity);
    else this.#localIdentities.set(identity, left);
  }
}

/** An address nearly always has one workload, and 100,000 lists of one would weigh. */
type OneOrMany = Workload | readonly Workload[];

function isMany(held: OneOrMany): held is readonly Workload[] {
  return Array.isArray(held);
}

function withOne(held: OneOrMany | undefined, added: Workload): OneOrMany {
  if (held === undefined || held === added) return added;
  if (!isMany(held)) return [held, added];
  return held.includes(added) ? held : [...held, added];
}

function withoutOne(held: OneOrMany | undefined, removed: Workload): OneOrMany | undefined {
  if (held === undefined || held === removed) return undefined;
  if (!isMany(held)) return held;
  const left = held.filter((one) => one !== removed);
  return left.length > 1 ? left : left[0];
}

function mostBelieved(held: OneOrMany | undefined): Workload | null {
  if (held === undefined) return null;
  if (!isMany(held)) return held;
  return held.reduce((best, one) => (beliefIn(one) >= beliefIn(best) ? one : best));
}

/** A pod's address was given by its node; others are what somebody wrote. */
function beliefIn({ uid, tunnelProtocol }: Workload): number {
  return (uid.includes('//Pod/') ? 2 : 0) + (tunnelProtocol === 'hbone' ? 1 : 0);
}

function hostnameKey({ namespace, hostname }: NamespacedHostname): string {
  return `${namespace}/${hostname}`;
}

function localKey(namespace: string, serviceAccount: string): string {
  return `${namespace}/${serviceAccount}`;
}
