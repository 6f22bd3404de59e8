/**
 * Inbound connections that a policy let in, and that a changed policy may forbid (as Istio's ztunnel, reference 4.5):
 * each is asked again as it was when it came, with the workload of that moment, and exactly the forbidden ones are cut.
 *
 * The set is a queue: who was asked goes to its end, so that the version with which each was last asked never falls from
 * front to end, and a change in the middle of a round starves nobody.
 */
import { authorize, type UnknownPolicyRule } from '@ambit/model/authorize';
import type { Call } from '@ambit/model/call';
import type { Decision } from '@ambit/model/decision';
import type { PolicySet } from '@ambit/model/policy-set';
import type { Engine } from '@ambit/net/engine';

/** Whose connection it is. */
export interface LiveConnection {
  /** `policies` are those that forbid the call now; no decision: there was a fault of ours in deciding. */
  forbid(call: Call, policies: PolicySet, decision: Decision | null): void;
}

export interface LiveEntry {
  readonly call: Call;
  readonly connection: LiveConnection;
  /** Of the policies it was last asked with. */
  version: number;
}

export interface LiveOptions {
  readonly engine: Engine;
  readonly policies: PolicySet;
  readonly unknownPolicy: UnknownPolicyRule;
  readonly rechecksPerTurn: number;
}

export class LiveConnections {
  /** Ever, of all: for metrics. */
  readonly counters = { rechecked: 0, forbidden: 0, rounds: 0, faults: 0 };
  readonly #engine: Engine;
  readonly #unknownPolicy: UnknownPolicyRule;
  readonly #rechecksPerTurn: number;
  readonly #entries = new Set<LiveEntry>();
  #policies: PolicySet;
  #version = 0;
  /** Of the round that runs. One for the whole of it: a new one would walk again over all that was taken out in front. */
  #round: Iterator<LiveEntry> | null = null;

  constructor({ engine, policies, unknownPolicy, rechecksPerTurn }: LiveOptions) {
    this.#engine = engine;
    this.#policies = policies;
    this.#unknownPolicy = unknownPolicy;
    this.#rechecksPerTurn = rechecksPerTurn;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Some were not asked yet with the newest policies. */
  get isRechecking(): boolean {
    return this.#round !== null;
  }

  /** Before it is asked for the first time, so that no change falls between. */
  add(call: Call, connection: LiveConnection): LiveEntry {
    const entry = { call, connection, version: this.#version };
    this.#entries.add(entry);
    return entry;
  }

  remove(entry: LiveEntry): void {
    this.#entries.delete(entry);
  }

  policiesChanged(policies: PolicySet): void {
    if (policies === this.#policies) return;
    this.#policies = policies;
    this.#version += 1;
    if (this.#round !== null) return;
    this.#round = this.#entries.values();
    this.counters.rounds += 1;
    this.#nextTurn();
  }

  #nextTurn(): void {
    this.#engine.after(0, () => this.#recheckSome());
  }

  #recheckSome(): void {
    const round = this.#round;
    if (round === null) return;
    for (let asked = 0; asked < this.#rechecksPerTurn; asked += 1) {
      const { value: entry, done } = round.next();
      if (done || entry.version === this.#version) {
        this.#round = null;
        return;
      }
      this.#recheck(entry);
    }
    this.#nextTurn();
  }

  /** What cannot be decided or cut is a bug of ours: it must not let the call go on, nor keep the others. */
  #recheck(entry: LiveEntry): void {
    this.counters.rechecked += 1;
    this.#entries.delete(entry);
    const decision = this.#decide(entry);
    if (decision?.verdict === 'allow') {
      entry.version = this.#version;
      this.#entries.add(entry);
      return;
    }
    this.counters.forbidden += 1;
    try {
      entry.connection.forbid(entry.call, this.#policies, decision);
    } catch {
      this.counters.faults += 1;
    }
  }

  #decide({ call }: LiveEntry): Decision | null {
    try {
      return authorize(this.#policies, call, null, this.#unknownPolicy);
    } catch {
      this.counters.faults += 1;
      return null;
    }
  }
}
