/**
 * What a node proxy knows of its mesh: workloads, services and policies, each update applied as a whole and numbered.
 * Every process that applied the same updates answers the same. What is not decided here: ranking (model's mesh-index.ts)
 * and what a policy means (model's authorize.ts).
 */
import { assert } from '@ambit/base/assert';
import { missingPolicies } from '@ambit/model/authorize';
import type { DecodedAddress } from '@ambit/model/decode-address';
import type { Identity } from '@ambit/model/identity';
import type { IpAddress } from '@ambit/model/ip-address';
import type { CidrCandidate, Endpoint, MeshIndex } from '@ambit/model/mesh-index';
import type { Policy } from '@ambit/model/policy';
import { PolicySet } from '@ambit/model/policy-set';
import { type Service, serviceKey } from '@ambit/model/service';
import type { NamespacedHostname, Workload } from '@ambit/model/workload';
import { LIMITS } from '../limits.ts';
import { ServiceStore } from './service-store.ts';
import { type Cancellable, type Timers, WaitList } from './wait-list.ts';
import { type WorkloadInfo, WorkloadStore } from './workload-store.ts';

export interface MeshStateOptions {
  /** NODE_NAME: only workloads of this node are local. Null: all are. */
  readonly localNode: string | null;
  /** Of the state that this one takes over from; a first one starts at 0. */
  readonly epoch?: number;
}

/** First what came or changed, then the names that went, as an xDS response is applied. */
export interface AddressUpdate {
  readonly upserts: readonly DecodedAddress[];
  /** Uids of workloads and `namespace/hostname` of services. */
  readonly removedNames: readonly string[];
}

export interface PolicyUpdate {
  readonly upserts: readonly Policy[];
  /** `namespace/name`. */
  readonly removedNames: readonly string[];
}

export interface AddressChange {
  readonly is: 'addresses';
  readonly epoch: number;
  /** Of this node, that came or changed: their certificates may be wanted. */
  readonly localWorkloads: readonly Workload[];
  /** The last local workload with it is gone: its certificate is not wanted any more. */
  readonly identitiesLost: readonly Identity[];
}

export interface PolicyChange {
  readonly is: 'policies';
  readonly epoch: number;
  /** Live connections have to be asked again. */
  readonly policiesChanged: boolean;
}

export type MeshChange = AddressChange | PolicyChange;

export class MeshState implements MeshIndex {
  readonly #workloads: WorkloadStore;
  readonly #services = new ServiceStore();
  readonly #waiters = new WaitList(LIMITS.waitersMax);
  readonly #listeners = new Set<(change: MeshChange) => void>();
  #policies = PolicySet.EMPTY;
  #epoch: number;
  #hasAddresses = false;
  #hasPolicies = false;
  #isTelling = false;

  constructor({ localNode, epoch = 0 }: MeshStateOptions) {
    this.#workloads = new WorkloadStore(localNode, LIMITS.sharedPartsMax);
    this.#epoch = epoch;
  }

  /** Grows by one with each update. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Addresses and policies were both applied once: before that nobody is served. */
  get isReady(): boolean {
    return this.#hasAddresses && this.#hasPolicies;
  }

  get policies(): PolicySet {
    return this.#policies;
  }

  applyAddresses({ upserts, removedNames }: AddressUpdate): AddressChange {
    assert(!this.#isTelling, 'a listener does not update the state');
    const localWorkloads: Workload[] = [];
    const removedLocal: Workload[] = [];
    const remove = (uid: string): boolean => {
      const removed = this.#workloads.remove(uid);
      if (removed === null) return false;
      this.#services.leave(removed);
      if (this.#workloads.isLocal(removed)) removedLocal.push(removed);
      return true;
    };
    for (const upsert of upserts) {
      if (upsert.is === 'service') {
        this.#services.insert(upsert.service);
        continue;
      }
      remove(upsert.workload.uid);
      const workload = this.#workloads.insert(upsert.workload);
      this.#services.join(workload);
      if (this.#workloads.isLocal(workload)) localWorkloads.push(workload);
    }
    // A removed address has a name and no kind; only uids have slashes in what would be the hostname.
    for (const name of removedNames) if (!remove(name)) this.#services.remove(name);
    this.#hasAddresses = true;
    this.#epoch += 1;
    const change: AddressChange = {
      is: 'addresses',
      epoch: this.#epoch,
      localWorkloads: localWorkloads.filter((workload) => this.#workloads.get(workload.uid) === workload),
      identitiesLost: distinctIdentities(removedLocal.filter((removed) => !this.#workloads.hasLocalIdentity(removed))),
    };
    this.#tell(change);
    return change;
  }

  applyPolicies({ upserts, removedNames }: PolicyUpdate): PolicyChange {
    assert(!this.#isTelling, 'a listener does not update the state');
    const policiesChanged = upserts.length > 0 || removedNames.some((name) => this.#policies.get(name) !== undefined);
    this.#policies = this.#policies.with(upserts, removedNames);
    this.#hasPolicies = true;
    this.#epoch += 1;
    const change: PolicyChange = { is: 'policies', epoch: this.#epoch, policiesChanged };
    this.#tell(change);
    return change;
  }

  /** Called after each update, with the state as it is then; must not update. The result ends it. */
  onChange(listener: (change: MeshChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  workload(uid: string): Workload | null {
    return this.#workloads.get(uid) ?? null;
  }

  /** In the order in which they came last. */
  workloads(): Iterable<Workload> {
    return this.#workloads.values();
  }

  services(): Iterable<Service> {
    return this.#services.values();
  }

  localWorkload(info: WorkloadInfo): Workload | null {
    return this.#workloads.local(info);
  }

  /** `done` gets null when the time is up. It is called before this returns if the workload is known. */
  waitForWorkload(
    info: WorkloadInfo,
    timeoutMs: number,
    timers: Timers,
    done: (workload: Workload | null) => void,
  ): Cancellable {
    const isOver = (): boolean => this.localWorkload(info) !== null;
    return this.#waiters.wait(isOver, timeoutMs, timers, () => done(this.localWorkload(info)));
  }

  /**
   * For a call that was denied only because its workload names policies that are not known. `done` gets those still
   * missing; a policy that is known to be removed is not. It is called before this returns if none is.
   */
  waitForPolicies(
    named: readonly string[],
    timeoutMs: number,
    timers: Timers,
    done: (missing: readonly string[]) => void,
  ): Cancellable {
    const isOver = (): boolean => missingPolicies(this.#policies, named).length === 0;
    return this.#waiters.wait(isOver, timeoutMs, timers, () => done(missingPolicies(this.#policies, named)));
  }

  workloadByAddress(network: string, ip: IpAddress): Workload | null {
    return this.#workloads.byAddress(network, ip);
  }

  workloadByHostname(name: NamespacedHostname): Workload | null {
    return this.#workloads.byHostname(name);
  }

  servicesByVip(network: string, ip: IpAddress): readonly Service[] {
    return this.#services.byVip(network, ip);
  }

  servicesByCidr(network: string, ip: IpAddress): readonly CidrCandidate[] {
    return this.#services.byCidr(network, ip);
  }

  serviceByHostname(name: NamespacedHostname): Service | null {
    return this.#services.get(serviceKey(name)) ?? null;
  }

  /** Of all namespaces; model's `bestService` chooses. */
  servicesByHostname(hostname: string): readonly Service[] {
    return this.#services.byHostname(hostname);
  }

  /** That the workload says it belongs to and that are known. */
  servicesOf(workload: Workload): readonly Service[] {
    return [...workload.services.keys()].flatMap((key) => this.#services.get(key) ?? []);
  }

  endpoints(service: Service): readonly Endpoint[] {
    return this.#services.endpoints(service);
  }

  /** For the admin page and for tests: what stays when everything was removed is a leak. */
  sizes() {
    return {
      workloads: this.#workloads.size,
      services: this.#services.size,
      policies: this.#policies.size,
      indexEntries: this.#workloads.indexEntries + this.#services.indexEntries,
      waiters: this.#waiters.size,
    };
  }

  /** All listeners are told, also when one throws: it is a bug of ours, and the others have their own duties. */
  #tell(change: MeshChange): void {
    this.#isTelling = true;
    const thrown: unknown[] = [];
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        thrown.push(error);
      }
    }
    this.#isTelling = false;
    this.#waiters.wake();
    if (thrown.length > 0) throw new AggregateError(thrown, 'listeners of the mesh state failed');
  }
}

function distinctIdentities(workloads: readonly Workload[]): readonly Identity[] {
  const identities = new Map<string, Identity>();
  for (const { trustDomain, namespace, serviceAccount } of workloads) {
    identities.set(`${trustDomain}/${namespace}/${serviceAccount}`, { trustDomain, namespace, serviceAccount });
  }
  return [...identities.values()];
}
