/**
 * Explanations of denials. A child works them out, so many a second, and hands them to its parent, which keeps the last
 * ones by an id that stands in the access log. A client that is denied mostly tries again: the same call under the same
 * policies gets the same explanation and id for a while.
 */
import { assert } from '@ambit/base/assert';
import type { Clock } from '@ambit/base/clock';
import type { Rng } from '@ambit/base/rng';
import type { Call } from '@ambit/model/call';
import type { Decision } from '@ambit/model/decision';
import type { Explanation } from '@ambit/model/explain';
import { formatExplanation } from '@ambit/model/explain-format';
import type { Denial } from './access-log.ts';
import {
  DECISION_CHARS_MAX,
  DECISIONS_KEPT_CHARS_MAX,
  DECISIONS_KEPT_MAX,
  EXPLANATION_REUSE_MS,
  EXPLANATIONS_PER_SECOND_MAX,
  EXPLANATIONS_REUSED_MAX,
} from './limits.ts';
import type { Counter } from './metric-series.ts';

/** As JSON can carry it. */
export interface KeptDecision {
  readonly id: string;
  /** Wall clock. */
  readonly atMs: number;
  readonly verdict: 'allow' | 'deny';
  readonly by: string;
  readonly short: string;
  readonly long: string;
}

export interface ExplainerOptions {
  /** For ids: whoever guesses one learns what the admin port tells anyone, so an Rng will do. */
  readonly rng: Rng;
  readonly wallClock: Clock;
  readonly monotonicClock: Clock;
  /** To the store. */
  readonly keep: (decision: KeptDecision) => void;
  /** Denials that went without a reason. */
  readonly unexplained: Counter;
  readonly perSecondMax?: number;
}

interface Reusable {
  readonly denial: Denial;
  readonly untilMs: number;
}

/** One for each process that decides. */
export class DenialExplainer {
  readonly #options: ExplainerOptions;
  readonly #perSecondMax: number;
  readonly #reusable = new Map<string, Reusable>();
  #epoch = -1;
  #secondStartMs = Number.NEGATIVE_INFINITY;
  #thisSecond = 0;

  constructor(options: ExplainerOptions) {
    this.#options = options;
    this.#perSecondMax = options.perSecondMax ?? EXPLANATIONS_PER_SECOND_MAX;
  }

  /** `epoch` changes with the policies; `explain` asks the model again. Null when the second's ration is used up. */
  explain(decision: Decision, call: Call, epoch: number, explain: () => Explanation): Denial | null {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#reusable.clear();
    }
    const nowMs = this.#options.monotonicClock.nowMs();
    const key = keyOf(decision, call);
    const known = this.#reusable.get(key);
    if (known !== undefined && nowMs < known.untilMs) return known.denial;
    if (!this.#takeRation(nowMs)) {
      this.#options.unexplained.add(1);
      return null;
    }
    const denial = this.#work(decision, explain());
    this.#reusable.delete(key);
    if (this.#reusable.size >= EXPLANATIONS_REUSED_MAX) this.#reusable.delete(this.#reusable.keys().next().value!);
    this.#reusable.set(key, { denial, untilMs: nowMs + EXPLANATION_REUSE_MS });
    return denial;
  }

  #work(decision: Decision, explanation: Explanation): Denial {
    const { short, long } = formatExplanation(explanation);
    const id = makeId(this.#options.rng);
    const { verdict, by } = decision;
    this.#options.keep({ id, atMs: this.#options.wallClock.nowMs(), verdict, by, short, long: cut(long) });
    return { reason: short, id };
  }

  #takeRation(nowMs: number): boolean {
    if (nowMs - this.#secondStartMs >= 1000) {
      this.#secondStartMs = nowMs;
      this.#thisSecond = 0;
    }
    if (this.#thisSecond >= this.#perSecondMax) return false;
    this.#thisSecond += 1;
    return true;
  }
}

export interface DecisionStoreOptions {
  readonly keptMax?: number;
  readonly keptCharsMax?: number;
}

/** In the parent. The oldest makes room for the newest. */
export class DecisionStore {
  readonly #decisions = new Map<string, KeptDecision>();
  readonly #keptMax: number;
  readonly #keptCharsMax: number;
  #chars = 0;
  /** Kept once and gone since. */
  evicted = 0;

  constructor({ keptMax = DECISIONS_KEPT_MAX, keptCharsMax = DECISIONS_KEPT_CHARS_MAX }: DecisionStoreOptions = {}) {
    assert(keptMax > 0 && keptCharsMax > 0, 'a store keeps something');
    this.#keptMax = keptMax;
    this.#keptCharsMax = keptCharsMax;
  }

  get size(): number {
    return this.#decisions.size;
  }

  keep(decision: KeptDecision): void {
    this.#drop(decision.id);
    this.#decisions.set(decision.id, decision);
    this.#chars += charsOf(decision);
    for (const id of this.#decisions.keys()) {
      if (this.#decisions.size <= this.#keptMax && this.#chars <= this.#keptCharsMax) break;
      this.#drop(id);
      this.evicted += 1;
    }
  }

  get(id: string): KeptDecision | null {
    return this.#decisions.get(id) ?? null;
  }

  /** Newest first. */
  newest(count: number): KeptDecision[] {
    return [...this.#decisions.values()].slice(-count).reverse();
  }

  #drop(id: string): void {
    const decision = this.#decisions.get(id);
    if (decision === undefined) return;
    this.#decisions.delete(id);
    this.#chars -= charsOf(decision);
  }
}

/** All that the explanation of a call depends on. */
function keyOf({ by }: Decision, call: Call): string {
  const { namespace, authorizationPolicies } = call.destination;
  return JSON.stringify([
    by,
    call.principal,
    String(call.sourceIp),
    String(call.destinationIp),
    call.destinationPort,
    namespace,
    authorizationPolicies,
  ]);
}

/** 48 bits, so that no two of the kept ones are alike; without vowels and what looks alike, so that ids are no words. */
const ID_ALPHABET = '23456789bcdfghjkmnpqrstvwxyz';
const ID_CHARS = 10;

function makeId(rng: Rng): string {
  let id = '';
  for (let i = 0; i < ID_CHARS; i++) id += ID_ALPHABET[rng.integer(ID_ALPHABET.length)];
  return id;
}

function charsOf({ id, by, short, long }: KeptDecision): number {
  return id.length + by.length + short.length + long.length;
}

function cut(text: string): string {
  return text.length <= DECISION_CHARS_MAX ? text : `${text.slice(0, DECISION_CHARS_MAX)}...`;
}
