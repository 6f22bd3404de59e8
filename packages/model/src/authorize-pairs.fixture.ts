/** Runs evaluators over generated pairs of policies and calls and tells where they differ from the naive one. */
import { ANY_ADDRESSES, generateRbacWorld, type RbacWorld } from '@ambit/testkit/rbac-pairs';
import type { authorize as authorizeFunction } from './authorize.ts';
import { authorizeNaively } from './authorize-naive.fixture.ts';
import { ReasonList } from './decision.ts';
import type { Policy } from './policy.ts';
import type { PolicySet } from './policy-set.ts';

export interface Evaluator {
  readonly authorize: typeof authorizeFunction;
  policySetOf(policies: readonly Policy[]): PolicySet;
}

export interface Comparison {
  pairs: number;
  /** By how a call was decided: `allow policy`, `deny policy`, or verdict and fixed word. */
  readonly outcomes: Map<string, number>;
  /** Seed, call and both answers of those that differ, at most `differencesMax`. */
  readonly differences: string[];
}

const DIFFERENCES_MAX = 5;

/** At least `pairs`, beginning at a seed; stops early when there are differences enough. */
export function comparePairs(evaluator: Evaluator, seed: number, pairs: number): Comparison {
  const comparison: Comparison = { pairs: 0, outcomes: new Map(), differences: [] };
  for (let at = seed; comparison.pairs < pairs && comparison.differences.length < DIFFERENCES_MAX; at += 1) {
    compareWorld(evaluator, at, generateRbacWorld(at, ANY_ADDRESSES), comparison);
  }
  return comparison;
}

function compareWorld(evaluator: Evaluator, seed: number, world: RbacWorld, comparison: Comparison): void {
  const policies = evaluator.policySetOf(world.policies);
  const unknownPolicy = seed % 2 === 0 ? 'deny' : 'skip';
  for (const [index, call] of world.calls.entries()) {
    const decision = evaluator.authorize(policies, call, null, unknownPolicy);
    const recorded = evaluator.authorize(policies, call, new ReasonList(1000), unknownPolicy);
    const naive = authorizeNaively(world.policies, call, unknownPolicy);
    comparison.pairs += 1;
    const how = `${decision.verdict} ${decision.by.includes('/') ? 'policy' : decision.by}`;
    comparison.outcomes.set(how, (comparison.outcomes.get(how) ?? 0) + 1);
    if (naive.verdict === decision.verdict && naive.by.includes(decision.by) && recorded === decision) continue;
    const answers = `${decision.verdict} ${decision.by}, recorded ${recorded.by}, naive ${naive.verdict} ${naive.by.join(' or ')}`;
    comparison.differences.push(`seed ${seed}, call ${index}: ${answers}`);
    if (comparison.differences.length >= DIFFERENCES_MAX) return;
  }
}
