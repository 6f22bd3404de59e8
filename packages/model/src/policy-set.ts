/**
 * The policies of a mesh, made ready and indexed by whom they apply to: those of other namespaces cost a decision
 * nothing. Immutable; `with` gives the next set and compiles only what changed. The order inside of an index is by key,
 * so that a set reached by updates decides in the same words as one read at once.
 */
import { type Condition, conditionsOf } from './condition.ts';
import type { Decision } from './decision.ts';
import { REMOVED_POLICIES_MAX } from './limits.ts';
import { type Policy, policyKey } from './policy.ts';

export interface CompiledMatch {
  /** Place in the clause: matches without any condition are left out. */
  readonly index: number;
  readonly conditions: readonly Condition[];
}

export interface CompiledClause {
  /** Nothing was written: holds for every call. */
  readonly isEmpty: boolean;
  readonly matches: readonly CompiledMatch[];
}

export class CompiledPolicy {
  readonly policy: Policy;
  readonly key: string;
  /** Alternatives; each a list of clauses that must all hold. */
  readonly rules: readonly (readonly CompiledClause[])[];
  /** What a match of this policy decides, made once. */
  readonly decision: Decision;

  constructor(policy: Policy) {
    this.policy = policy;
    this.key = policyKey(policy);
    this.rules = policy.rules.map(({ clauses }) => clauses.map(compileClause));
    this.decision = Object.freeze({ verdict: policy.action === 'ALLOW' ? 'allow' : 'deny', by: this.key });
  }
}

/** Policies that apply together, by what they do. */
export interface PolicyGroup {
  readonly deny: readonly CompiledPolicy[];
  readonly allow: readonly CompiledPolicy[];
  readonly dryRun: readonly CompiledPolicy[];
}

const EMPTY_GROUP: PolicyGroup = { deny: [], allow: [], dryRun: [] };

export class PolicySet {
  static readonly EMPTY = new PolicySet(new Map(), new Map(), EMPTY_GROUP, new Set());

  readonly global: PolicyGroup;
  /** Whether it is worth asking for them. */
  readonly hasDryRun: boolean;
  readonly #byKey: ReadonlyMap<string, CompiledPolicy>;
  readonly #byNamespace: ReadonlyMap<string, PolicyGroup>;
  readonly #removed: ReadonlySet<string>;

  private constructor(
    byKey: ReadonlyMap<string, CompiledPolicy>,
    byNamespace: ReadonlyMap<string, PolicyGroup>,
    global: PolicyGroup,
    removed: ReadonlySet<string>,
  ) {
    this.#byKey = byKey;
    this.#byNamespace = byNamespace;
    this.global = global;
    this.hasDryRun = byKey.values().some(({ policy }) => policy.dryRun);
    this.#removed = removed;
  }

  static of(policies: Iterable<Policy>): PolicySet {
    return PolicySet.EMPTY.with(policies, []);
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): CompiledPolicy | undefined {
    return this.#byKey.get(key);
  }

  /** For who shows or copies a set: with `removedKeys`, what another needs to decide the same. */
  values(): Iterable<CompiledPolicy> {
    return this.#byKey.values();
  }

  /** The oldest first. */
  removedKeys(): Iterable<string> {
    return this.#removed.values();
  }

  /** Policies of scope `namespace`. */
  inNamespace(namespace: string): PolicyGroup {
    return this.#byNamespace.get(namespace) ?? EMPTY_GROUP;
  }

  /** It was there and was taken away: who still names it need not wait for it. */
  isRemoved(key: string): boolean {
    return this.#removed.has(key);
  }

  /** First the policies that came or changed, then the keys that went, as an xDS response is applied. */
  with(policies: Iterable<Policy>, removedKeys: Iterable<string>): PolicySet {
    const byKey = new Map(this.#byKey);
    const removed = new Set(this.#removed);
    const touched: CompiledPolicy[] = [];
    for (const policy of policies) {
      const compiled = new CompiledPolicy(policy);
      const before = byKey.get(compiled.key);
      if (before !== undefined) touched.push(before);
      touched.push(compiled);
      byKey.set(compiled.key, compiled);
      removed.delete(compiled.key);
    }
    for (const key of removedKeys) {
      const before = byKey.get(key);
      if (before !== undefined) touched.push(before);
      byKey.delete(key);
      removed.delete(key);
      removed.add(key);
    }
    forgetOldest(removed);
    const { byNamespace, global } = this.#regroup(byKey, touched);
    return new PolicySet(byKey, byNamespace, global, removed);
  }

  #regroup(byKey: ReadonlyMap<string, CompiledPolicy>, touched: readonly CompiledPolicy[]) {
    const namespaces = new Map<string, CompiledPolicy[]>();
    for (const { policy } of touched) if (policy.scope === 'namespace') namespaces.set(policy.namespace, []);
    const globals: CompiledPolicy[] = [];
    for (const compiled of byKey.values()) {
      const { scope, namespace } = compiled.policy;
      if (scope === 'global') globals.push(compiled);
      else if (scope === 'namespace') namespaces.get(namespace)?.push(compiled);
    }
    const byNamespace = new Map(this.#byNamespace);
    for (const [namespace, members] of namespaces) {
      if (members.length === 0) byNamespace.delete(namespace);
      else byNamespace.set(namespace, groupOf(members));
    }
    return { byNamespace, global: groupOf(globals) };
  }
}

function compileClause({ matches }: Policy['rules'][number]['clauses'][number]): CompiledClause {
  const compiled = matches.map((match, index) => ({ index, conditions: conditionsOf(match) }));
  // A match without conditions is skipped, not true: istiod sends one where a rule asks for what L4 cannot see.
  return { isEmpty: matches.length === 0, matches: compiled.filter(({ conditions }) => conditions.length > 0) };
}

function groupOf(members: readonly CompiledPolicy[]): PolicyGroup {
  const sorted = members.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return {
    deny: sorted.filter(({ policy }) => policy.action === 'DENY' && !policy.dryRun),
    allow: sorted.filter(({ policy }) => policy.action === 'ALLOW' && !policy.dryRun),
    dryRun: sorted.filter(({ policy }) => policy.dryRun),
  };
}

/** A set keeps the order of insertion. What is forgotten counts as not known yet, which denies. */
function forgetOldest(removed: Set<string>): void {
  for (const key of removed) {
    if (removed.size <= REMOVED_POLICIES_MAX) return;
    removed.delete(key);
  }
}
