/**
 * TCP authorization, as Istio's ztunnel decides it (its src/rbac.rs): policies that apply are those of the destination's
 * namespace, the global ones and those the destination names; DENY comes first, then, if any ALLOW policy
 * applies, one must match. Dry-run policies have no effect, not even on that "any". Where ztunnel skips a policy that is
 * named and not known, the caller chooses: a connection whose policy has not arrived should not pass by default.
 */
import type { Call } from './call.ts';
import type { Decision, DecisionRecorder } from './decision.ts';
import type { Policy } from './policy.ts';
import type { CompiledClause, CompiledMatch, CompiledPolicy, PolicySet } from './policy-set.ts';

/** Words in `Decision.by` where no single policy decided. Keys of policies contain a slash, these do not. */
export const NO_ALLOW_POLICIES = 'no-allow-policies';
export const NONE_ALLOWED = 'none-allowed';
export const UNKNOWN_POLICY = 'unknown-policy';

/** The field of a step where a clause holds nothing that can be seen at L4: it never matches. */
export const UNENFORCEABLE = 'nothing_enforceable_at_l4';

/** What becomes of a call to a workload that names a policy which is not known. */
export type UnknownPolicyRule = 'deny' | 'skip';

const ALLOWED_WITHOUT_POLICY: Decision = Object.freeze({ verdict: 'allow', by: NO_ALLOW_POLICIES });
const DENIED_WITHOUT_MATCH: Decision = Object.freeze({ verdict: 'deny', by: NONE_ALLOWED });
const DENIED_UNKNOWN: Decision = Object.freeze({ verdict: 'deny', by: UNKNOWN_POLICY });
const NONE: readonly never[] = Object.freeze([]);

export function authorize(
  policies: PolicySet,
  call: Call,
  recorder: DecisionRecorder | null,
  unknownPolicy: UnknownPolicyRule = 'deny',
): Decision {
  const { namespace } = call.destination;
  const local = policies.inNamespace(namespace);
  const { global } = policies;
  if (recorder !== null) for (const dryRun of dryRunPolicies(policies, call)) matchesPolicy(dryRun, call, recorder);

  const denying =
    firstMatch(local.deny, call, recorder) ??
    firstMatch(global.deny, call, recorder) ??
    firstNamedMatch('DENY', policies, call, recorder);
  if (denying !== null) return denying.decision;
  if (unknownPolicy === 'deny' && namesUnknown(policies, call)) return DENIED_UNKNOWN;

  const allowing =
    firstMatch(local.allow, call, recorder) ??
    firstMatch(global.allow, call, recorder) ??
    firstNamedMatch('ALLOW', policies, call, recorder);
  if (allowing !== null) return allowing.decision;
  const anyAllow = local.allow.length > 0 || global.allow.length > 0 || namesAllow(policies, call);
  return anyAllow ? DENIED_WITHOUT_MATCH : ALLOWED_WITHOUT_POLICY;
}

/** Keys that a workload names, that are not known and were not known before: worth waiting for. */
export function missingPolicies(policies: PolicySet, named: readonly string[]): readonly string[] {
  return named.every((key) => isKnown(policies, key)) ? NONE : named.filter((key) => !isKnown(policies, key));
}

/** Dry-run policies that match: what would have counted if they were in force. Costs nothing in a mesh without any. */
export function dryRunMatches(policies: PolicySet, call: Call): readonly Policy[] {
  if (!policies.hasDryRun) return NONE;
  return dryRunPolicies(policies, call)
    .filter((candidate) => matchesPolicy(candidate, call, null))
    .map(({ policy }) => policy);
}

function dryRunPolicies(policies: PolicySet, call: Call): readonly CompiledPolicy[] {
  const { namespace, authorizationPolicies } = call.destination;
  const local = policies.inNamespace(namespace).dryRun;
  const global = policies.global.dryRun;
  const named: CompiledPolicy[] = [];
  for (const key of authorizationPolicies) {
    const policy = policies.get(key);
    if (policy?.policy.dryRun && !appliesUnnamed(policy, namespace)) named.push(policy);
  }
  return [...local, ...global, ...named];
}

function firstMatch(
  candidates: readonly CompiledPolicy[],
  call: Call,
  recorder: DecisionRecorder | null,
): CompiledPolicy | null {
  for (let i = 0; i < candidates.length; i += 1) {
    const candidate = candidates[i]!;
    if (matchesPolicy(candidate, call, recorder)) return candidate;
  }
  return null;
}

function firstNamedMatch(
  action: Policy['action'],
  policies: PolicySet,
  call: Call,
  recorder: DecisionRecorder | null,
): CompiledPolicy | null {
  const { namespace, authorizationPolicies } = call.destination;
  for (let i = 0; i < authorizationPolicies.length; i += 1) {
    const candidate = policies.get(authorizationPolicies[i]!);
    if (candidate === undefined || candidate.policy.action !== action || candidate.policy.dryRun) continue;
    if (!appliesUnnamed(candidate, namespace) && matchesPolicy(candidate, call, recorder)) return candidate;
  }
  return null;
}

/** It was asked before, as one of the namespace or of all: do not ask (and record) it twice. */
function appliesUnnamed({ policy }: CompiledPolicy, namespace: string): boolean {
  return policy.scope === 'global' || (policy.scope === 'namespace' && policy.namespace === namespace);
}

function namesAllow(policies: PolicySet, call: Call): boolean {
  const { authorizationPolicies } = call.destination;
  for (let i = 0; i < authorizationPolicies.length; i += 1) {
    const named = policies.get(authorizationPolicies[i]!)?.policy;
    if (named !== undefined && named.action === 'ALLOW' && !named.dryRun) return true;
  }
  return false;
}

function namesUnknown(policies: PolicySet, call: Call): boolean {
  const { authorizationPolicies } = call.destination;
  for (let i = 0; i < authorizationPolicies.length; i += 1) {
    if (!isKnown(policies, authorizationPolicies[i]!)) return true;
  }
  return false;
}

function isKnown(policies: PolicySet, key: string): boolean {
  return policies.get(key) !== undefined || policies.isRemoved(key);
}

/** Rules are alternatives; a policy without rules matches nothing. */
function matchesPolicy(compiled: CompiledPolicy, call: Call, recorder: DecisionRecorder | null): boolean {
  const { rules } = compiled;
  let matched = false;
  for (let i = 0; i < rules.length && !matched; i += 1) matched = matchesRule(compiled, i, call, recorder);
  if (recorder !== null) {
    const { action, dryRun } = compiled.policy;
    recorder.policy({ policy: compiled.key, action, dryRun, matched });
  }
  return matched;
}

/** All clauses must hold. For a recorder they are all looked at, so that it can tell how far from matching a rule was. */
function matchesRule(compiled: CompiledPolicy, rule: number, call: Call, recorder: DecisionRecorder | null): boolean {
  const clauses = compiled.rules[rule]!;
  let matched = true;
  for (let i = 0; i < clauses.length; i += 1) {
    const clause = clauses[i]!;
    const holds = recorder === null ? clauseHolds(clause, call) : recordClause(compiled, rule, i, call, recorder);
    if (holds) continue;
    if (recorder === null) return false;
    matched = false;
  }
  if (recorder !== null) {
    const { action, dryRun } = compiled.policy;
    recorder.rule({ policy: compiled.key, action, dryRun, rule, matched });
  }
  return matched;
}

/** Matches are alternatives; no matches at all hold, but matches without a condition were left out and do not. */
function clauseHolds(clause: CompiledClause, call: Call): boolean {
  const { matches } = clause;
  for (let i = 0; i < matches.length; i += 1) if (matchHolds(matches[i]!, call)) return true;
  return clause.isEmpty;
}

function matchHolds(match: CompiledMatch, call: Call): boolean {
  const { conditions } = match;
  for (let i = 0; i < conditions.length; i += 1) if (!conditions[i]!.holds(call)) return false;
  return true;
}

/** The same answer, with every condition told. */
function recordClause(
  compiled: CompiledPolicy,
  rule: number,
  clauseIndex: number,
  call: Call,
  recorder: DecisionRecorder,
): boolean {
  const clause = compiled.rules[rule]![clauseIndex]!;
  const place = { policy: compiled.key, action: compiled.policy.action, rule, clause: clauseIndex };
  if (!clause.isEmpty && clause.matches.length === 0) {
    recorder.step({ ...place, match: 0, field: UNENFORCEABLE, wanted: [], got: '', matched: false });
  }
  for (const match of clause.matches) {
    for (const condition of match.conditions) {
      const { field } = condition;
      const matched = condition.holds(call);
      recorder.step({
        ...place,
        match: match.index,
        field,
        wanted: condition.wanted(),
        got: condition.got(call),
        matched,
      });
    }
  }
  return clauseHolds(clause, call);
}
