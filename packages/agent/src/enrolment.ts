/**
 * Takes running pods into the mesh and out of it without touching them: rules in the pod's namespace, and word to the
 * proxy. The proxy is told first and forgotten last, so that captured calls find it listening; where it cannot be told,
 * the pod is captured all the same, for traffic past the mesh would be worse (as istio-cni).
 */
import { AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import type { EngineTimer } from '@ambit/net/engine';
import type { RedirectOptions } from '@ambit/platform/redirect';
import type { ZdsPod } from '@ambit/wire/zds';
import { ENROLMENT_LIMITS, type EnrolmentLimits } from './limits.ts';
import {
  identityAt,
  isSameNamespace,
  leadsTo,
  type NetworkNamespace,
  openNetworkNamespace,
} from './network-namespace.ts';
import type { PodRules } from './pod-rules.ts';
import { checkOwnership, type OwnershipDeps, type PodSet } from './pods.ts';
import { planReconcile, type ReconcileAction } from './reconcile.ts';
import { RoundRobin } from './round-robin.ts';
import { TaskQueue } from './task-queue.ts';
import type { ZdsOutcome } from './zds-connection.ts';
import type { ZdsServer } from './zds-server.ts';

export interface PodToEnrol extends ZdsPod {
  readonly uid: string;
  /** As the cluster knows them: one must be found in the namespace. */
  readonly ips: readonly string[];
  /** `/run/netns/NAME` or `/proc/PID/ns/net`. */
  readonly namespacePath: string;
  readonly redirect: RedirectOptions;
}

export interface EnrolmentDeps extends Omit<OwnershipDeps, 'pods'> {
  readonly pods: PodSet;
  readonly server: ZdsServer;
  readonly rules: PodRules;
  readonly log: Log;
  after(delayMs: number, callback: () => void): EngineTimer;
  readonly limits?: Partial<EnrolmentLimits>;
}

export interface EnrolmentCounters {
  enrolled: number;
  enrolFailures: number;
  unenrolled: number;
  /** Pods whose rules somebody changed, each time it was noticed. */
  rulesRepaired: number;
  verifyFailures: number;
  /** Namespaces that an earlier run had left with rules. */
  cleaned: number;
}

export interface StartReport {
  readonly enrolled: readonly string[];
  /** Captured as before, or not; the proxy keeps what it has. To be tried again with `enrol`. */
  readonly failed: readonly { readonly uid: string; readonly error: AmbitError }[];
}

export class Enrolment {
  readonly counters: EnrolmentCounters = {
    enrolled: 0,
    enrolFailures: 0,
    unenrolled: 0,
    rulesRepaired: 0,
    verifyFailures: 0,
    cleaned: 0,
  };
  readonly #deps: EnrolmentDeps;
  readonly #limits: EnrolmentLimits;
  readonly #tasks: TaskQueue;
  readonly #options = new Map<string, RedirectOptions>();
  #watch: RoundRobin | null = null;

  constructor(deps: EnrolmentDeps) {
    this.#deps = deps;
    this.#limits = { ...ENROLMENT_LIMITS, ...deps.limits };
    this.#tasks = new TaskQueue(this.#limits.atOnce);
  }

  /** Once, before anything else: what an earlier run left meets what should be, then proxies may come. */
  async start(wanted: readonly PodToEnrol[]): Promise<StartReport> {
    const enrolled: string[] = [];
    const failed: { uid: string; error: AmbitError }[] = [];
    const byUid = new Map(wanted.map((pod) => [pod.uid, pod]));
    const { rules, server, pods } = this.#deps;
    const actions = planReconcile(
      wanted.map(({ uid, namespacePath }) => ({ uid, identity: identityAt(namespacePath) })),
      rules.left().map((record) => ({ record, reachable: leadsTo(record.path, record) })),
      rules.mechanism,
    );
    const enrols = actions.map(async (action) => {
      const pod = action.do === 'enrol' || action.do === 'keep' ? byUid.get(action.uid) : undefined;
      if (pod === undefined) return;
      try {
        await this.#tasks.run(pod.uid, () => this.#enrol(pod, action.do === 'enrol' && action.hasRules));
        enrolled.push(pod.uid);
      } catch (thrown) {
        if (!pods.has(pod.uid)) this.#keep(pod);
        failed.push({ uid: pod.uid, error: asAmbitError(thrown) });
      }
    });
    await Promise.all(enrols);
    for (const action of actions) await this.#cleanUp(action);
    server.listen();
    this.#watch = new RoundRobin({
      after: (delayMs, callback) => this.#deps.after(delayMs, callback),
      keys: () => pods.uids(),
      visit: (uid) => this.verify(uid),
      periodMs: this.#limits.verifyEveryMs,
      stepMinMs: this.#limits.verifyStepMinMs,
    });
    return { enrolled, failed };
  }

  /**
   * Settles when the pod is captured; the outcome says whether a proxy took it, and one that comes later is told. Rejects
   * with nothing changed where the namespace is not surely this pod's or the rules could not be put in place.
   */
  enrol(pod: PodToEnrol): Promise<ZdsOutcome> {
    return this.#tasks.run(pod.uid, () => this.#enrol(pod, false));
  }

  /** Rejects where the rules could not be removed: then the pod is still meshed. Nothing happens for a stranger. */
  unenrol(uid: string): Promise<void> {
    return this.#tasks.run(uid, () => this.#unenrol(uid));
  }

  /** Looks at one pod's rules, repairs them, and tells a proxy that does not know the pod. Never rejects. */
  verify(uid: string): Promise<void> {
    return this.#tasks.run(uid, async () => {
      const network = this.#deps.pods.network(uid);
      const options = this.#options.get(uid);
      if (network === null || options === undefined) return;
      try {
        if ((await this.#deps.rules.repair(uid, network, options)) > 0) this.counters.rulesRepaired += 1;
      } catch (thrown) {
        this.counters.verifyFailures += 1;
        this.#deps.log.error('redirection could not be verified', { uid, error: asAmbitError(thrown) });
      }
      const { server } = this.#deps;
      if (server.proxies > 0 && !server.hasTold(uid)) this.#tellOutcome(uid, await server.add(uid));
    });
  }

  /** Leaves pods, rules and file as they are, for whoever comes next. */
  async close(): Promise<void> {
    this.#watch?.stop();
    await this.#tasks.idle();
    this.#deps.server.close();
    for (const uid of this.#deps.pods.uids()) this.#deps.pods.delete(uid);
  }

  async #enrol(pod: PodToEnrol, hasRules: boolean): Promise<ZdsOutcome> {
    const { uid, name, namespace, serviceAccount, redirect } = pod;
    const { pods, server, rules, log } = this.#deps;
    let network: NetworkNamespace | null = null;
    let isCaptured = hasRules;
    try {
      network = await this.#take(pod);
      isCaptured ||= await this.#leaveOther(uid, network);
      pods.put({ uid, name, namespace, serviceAccount, network });
      this.#options.set(uid, redirect);
    } catch (thrown) {
      network?.close();
      this.counters.enrolFailures += 1;
      throw thrown;
    }
    const outcome = await server.add(uid);
    try {
      if (isCaptured) await rules.repair(uid, network, redirect);
      else await rules.install(uid, network, redirect);
    } catch (thrown) {
      // Who was meshed before stays so, and `verify` goes on trying.
      if (!isCaptured) await this.#abandon(uid, network);
      this.counters.enrolFailures += 1;
      throw thrown;
    }
    this.counters.enrolled += 1;
    log.info('pod enrolled', { uid, name, namespace });
    this.#tellOutcome(uid, outcome);
    return outcome;
  }

  /** The pod's namespace, opened; throws where it is not surely the pod's. */
  async #take({ uid, ips, namespacePath }: PodToEnrol): Promise<NetworkNamespace> {
    const { pods } = this.#deps;
    if (!pods.has(uid) && pods.size >= this.#limits.podsMax) throw tooManyPods(this.#limits.podsMax);
    const network = openNetworkNamespace(namespacePath);
    try {
      await checkOwnership(uid, ips, network, this.#deps);
      return network;
    } catch (thrown) {
      network.close();
      throw thrown;
    }
  }

  /** True when the pod is enrolled in this namespace already. In another its rules would lead nowhere now. */
  async #leaveOther(uid: string, network: NetworkNamespace): Promise<boolean> {
    const before = this.#deps.pods.network(uid);
    if (before === null) return false;
    if (isSameNamespace(before.identity, network.identity)) return true;
    await this.#deps.rules.remove(before);
    return false;
  }

  /** As if it had never been tried, as far as that can be. */
  async #abandon(uid: string, network: NetworkNamespace): Promise<void> {
    const { rules, log } = this.#deps;
    try {
      await rules.remove(network);
    } catch (thrown) {
      log.error('rules of a pod that was not enrolled may be left', { uid, error: asAmbitError(thrown) });
    }
    await this.#forget(uid);
  }

  async #unenrol(uid: string): Promise<void> {
    const { pods, rules, log } = this.#deps;
    if (!pods.has(uid)) return;
    const network = pods.network(uid);
    if (network === null) await rules.cleanLeft(uid);
    else await rules.remove(network);
    await this.#forget(uid);
    this.counters.unenrolled += 1;
    log.info('pod un-enrolled', { uid });
  }

  async #forget(uid: string): Promise<void> {
    this.#deps.pods.delete(uid);
    this.#options.delete(uid);
    await this.#deps.server.remove(uid);
  }

  #keep({ uid, name, namespace, serviceAccount }: PodToEnrol): void {
    this.#deps.pods.put({ uid, name, namespace, serviceAccount, network: null });
  }

  async #cleanUp(action: ReconcileAction): Promise<void> {
    if (action.do === 'forget') this.#deps.rules.forget(action.record);
    if (action.do !== 'clean') return;
    const { record, owner } = action;
    // Its new rules do not stand, so the old ones stay.
    if (owner !== null && this.#deps.pods.network(owner) === null) return;
    try {
      await this.#deps.rules.clean(record);
      this.counters.cleaned += 1;
      this.#deps.log.info('rules of an earlier run are removed', { uid: record.uid, mechanism: record.mechanism });
    } catch (thrown) {
      this.#deps.log.error('rules of an earlier run are left', { uid: record.uid, error: asAmbitError(thrown) });
    }
    // Both mechanisms share the routing, which went with the old one.
    if (owner !== null) await this.verify(owner);
  }

  #tellOutcome(uid: string, outcome: ZdsOutcome): void {
    if (outcome.is === 'done') return;
    const problem = outcome.is === 'refused' ? outcome.error : outcome.reason;
    this.#deps.log.warn('pod is captured and waits for a proxy', { uid, problem });
  }
}

function tooManyPods(podsMax: number): AmbitError {
  return new AmbitError('PODS_TOO_MANY', `${podsMax} pods are enrolled on this node`, {
    side: 'internal',
    retry: 'safe',
    hint: 'Take pods off the node, or raise podsMax.',
  });
}
