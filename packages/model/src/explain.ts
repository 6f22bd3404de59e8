/**
 * Why a call was denied, as data: which policies were tried, which rule decided, and which rule of an ALLOW policy came
 * nearest to matching. It asks `authorize` again with a recorder, so that it can say nothing else than what decided.
 */
import { authorize, missingPolicies, UNKNOWN_POLICY, type UnknownPolicyRule } from './authorize.ts';
import type { Call } from './call.ts';
import type { Decision, DecisionRecorder, PolicyOutcome, ReasonStep, RuleOutcome } from './decision.ts';
import { EXPLAINED_POLICIES_MAX, EXPLAINED_STEPS_MAX } from './limits.ts';
import type { PolicySet } from './policy-set.ts';

/** A rule and how the call stood to it. */
export interface ExplainedRule {
  /** `namespace/name`. */
  readonly policy: string;
  /** Zero-based. */
  readonly rule: number;
  /** What would have to change: for each clause that failed, the conditions that failed in its nearest match. */
  readonly failing: readonly ReasonStep[];
  readonly failingCount: number;
  /** What held, in the same matches. */
  readonly holding: readonly ReasonStep[];
}

export interface Explanation {
  readonly decision: Decision;
  readonly call: Call;
  /** In the order of asking, dry-run ones among them; whatever decided ends it. */
  readonly tried: readonly PolicyOutcome[];
  /** May be more than are listed. */
  readonly triedCount: number;
  /** The rule of a DENY policy that matched. */
  readonly deciding: ExplainedRule | null;
  /** The rule of an ALLOW policy with the fewest conditions that failed; the first, if there are several. */
  readonly nearest: ExplainedRule | null;
  /** Policies that the destination names and nobody knows, where that decided. */
  readonly unknown: readonly string[];
}

/** Policies and call are those of the decision. */
export function explain(policies: PolicySet, call: Call, unknownPolicy: UnknownPolicyRule = 'deny'): Explanation {
  const recorder = new RuleRecorder();
  const decision = authorize(policies, call, recorder, unknownPolicy);
  const isUnknown = decision.by === UNKNOWN_POLICY;
  const { tried, triedCount, deciding, nearest } = recorder;
  const unknown = isUnknown ? missingPolicies(policies, call.destination.authorizationPolicies) : [];
  return {
    decision,
    call,
    tried,
    triedCount,
    deciding,
    nearest: decision.verdict === 'deny' ? nearest : null,
    unknown,
  };
}

/** Weighs each rule when it ends and keeps what an explanation shows: a namespace may hold many rules. */
class RuleRecorder implements DecisionRecorder {
  readonly tried: PolicyOutcome[] = [];
  triedCount = 0;
  deciding: ExplainedRule | null = null;
  nearest: ExplainedRule | null = null;
  #steps: ReasonStep[] = [];

  step(step: ReasonStep): void {
    this.#steps.push(step);
  }

  rule({ policy, rule, action, dryRun, matched }: RuleOutcome): void {
    const steps = this.#steps;
    this.#steps = [];
    if (dryRun) return;
    if (action === 'DENY') {
      if (matched) this.deciding = weigh(policy, rule, steps);
    } else if (!matched) {
      const weighed = weigh(policy, rule, steps);
      if (this.nearest === null || weighed.failingCount < this.nearest.failingCount) this.nearest = weighed;
    }
  }

  policy(outcome: PolicyOutcome): void {
    this.triedCount += 1;
    if (this.tried.length < EXPLAINED_POLICIES_MAX) this.tried.push(outcome);
  }
}

function weigh(policy: string, rule: number, steps: readonly ReasonStep[]): ExplainedRule {
  const chosen = runsOf(steps, ({ clause }) => clause).flatMap(nearestMatch);
  const failing = chosen.filter(({ matched }) => !matched);
  const holding = chosen.filter(({ matched }) => matched);
  return {
    policy,
    rule,
    failing: failing.slice(0, EXPLAINED_STEPS_MAX),
    failingCount: failing.length,
    holding: holding.slice(0, EXPLAINED_STEPS_MAX),
  };
}

/** Matches of a clause are alternatives: only the one nearest to holding counts. */
function nearestMatch(clause: readonly ReasonStep[]): readonly ReasonStep[] {
  let nearest: readonly ReasonStep[] = [];
  let fewest = Number.POSITIVE_INFINITY;
  for (const match of runsOf(clause, (step) => step.match)) {
    const failing = match.filter(({ matched }) => !matched).length;
    if (failing < fewest) {
      fewest = failing;
      nearest = match;
    }
  }
  return nearest;
}

/** Neighbours of the same key, in one list each. */
function runsOf(steps: readonly ReasonStep[], keyOf: (step: ReasonStep) => number): ReasonStep[][] {
  const runs: ReasonStep[][] = [];
  let last = -1;
  for (const step of steps) {
    const key = keyOf(step);
    if (key !== last) runs.push([]);
    runs.at(-1)!.push(step);
    last = key;
  }
  return runs;
}
