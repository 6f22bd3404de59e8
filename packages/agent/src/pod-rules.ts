/** The rules in the namespaces of pods, and the record of them on file: written down before, crossed out after. */
import { asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import {
  describeDifference,
  podPlan,
  type Redirection,
  type RedirectOptions,
  type Redirector,
} from '@ambit/platform/redirect';
import { DIFFERENCES_TOLD_MAX } from './limits.ts';
import { isSameNamespace, leadsTo, type NetworkNamespace, openNetworkNamespace } from './network-namespace.ts';
import type { EnrolledRecord, Mechanism, StateFile } from './state-file.ts';

export interface PodRulesDeps {
  /** How rules are put in place from now on. */
  readonly redirection: Redirection;
  /** How an earlier run put them there. */
  readonly redirectionBy: (mechanism: Mechanism) => Redirection;
  readonly stateFile: StateFile;
  readonly log: Log;
}

export class PodRules {
  readonly #deps: PodRulesDeps;

  constructor(deps: PodRulesDeps) {
    this.#deps = deps;
  }

  get mechanism(): Mechanism {
    return this.#deps.redirection.mechanism;
  }

  /** What an earlier run wrote down; nothing where that cannot be read any more. */
  left(): readonly EnrolledRecord[] {
    try {
      return this.#deps.stateFile.load();
    } catch (thrown) {
      this.#deps.log.error('pods of an earlier run are not known', { error: asAmbitError(thrown) });
      return [];
    }
  }

  async install(uid: string, network: NetworkNamespace, options: RedirectOptions): Promise<void> {
    const redirector = this.#redirector(network, options);
    this.#record(uid, network);
    await redirector.install();
  }

  /** How many things were not as they should be. */
  async repair(uid: string, network: NetworkNamespace, options: RedirectOptions): Promise<number> {
    this.#record(uid, network);
    const differences = await this.#redirector(network, options).repair();
    if (differences.length > 0) {
      const told = differences.slice(0, DIFFERENCES_TOLD_MAX).map(describeDifference).join('; ');
      this.#deps.log.warn('redirection was not as it should be and is repaired', {
        uid,
        differences: differences.length,
        told,
      });
    }
    return differences.length;
  }

  async remove(network: NetworkNamespace): Promise<void> {
    await this.#redirector(network, ANY_OPTIONS).remove();
    this.#deps.stateFile.delete({ ...network.identity, mechanism: this.mechanism });
  }

  /** Removes rules of an earlier run, by what put them there. */
  async clean(record: EnrolledRecord): Promise<void> {
    const network = openNetworkNamespace(record.path);
    try {
      // The path may lead elsewhere since it was last looked at.
      if (isSameNamespace(network.identity, record)) await this.#removeLeft(record, network);
    } finally {
      network.close();
    }
    this.#deps.stateFile.delete(record);
  }

  /** Of a pod whose namespace is not at hand: what is written down of it. */
  async cleanLeft(uid: string): Promise<void> {
    for (const record of this.#deps.stateFile.recordsOf(uid)) {
      if (leadsTo(record.path, record)) await this.clean(record);
      else this.forget(record);
    }
  }

  forget(record: EnrolledRecord): void {
    this.#deps.stateFile.delete(record);
  }

  async #removeLeft({ mechanism }: EnrolledRecord, network: NetworkNamespace): Promise<void> {
    await this.#deps.redirectionBy(mechanism).redirector(network.fd, podPlan(ANY_OPTIONS)).remove();
  }

  #redirector(network: NetworkNamespace, options: RedirectOptions): Redirector {
    return this.#deps.redirection.redirector(network.fd, podPlan(options));
  }

  #record(uid: string, { path, identity }: NetworkNamespace): void {
    this.#deps.stateFile.put({ uid, path, ...identity, mechanism: this.mechanism });
  }
}

/** Removing takes all that is ours, whatever was chosen when it was installed. */
const ANY_OPTIONS: RedirectOptions = { ipv6: true, dnsCapture: true };
