/**
 * Authorization policies as decoded from `istio.security.Authorization`: plain data in the words of their author. What
 * they mean stands in authorize.ts; rules are alternatives, clauses of a rule must all hold, matches of a clause are
 * alternatives, fields of a match must all hold, values of a field are alternatives.
 */
import type { Cidr } from './ip-address.ts';

export type PolicyAction = 'ALLOW' | 'DENY';

/** `global`: every workload. `namespace`: those of the policy's namespace. `workload`: those that name the policy. */
export type PolicyScope = 'global' | 'namespace' | 'workload';

/** Case counts. `presence` is any text but the empty one. There are no wildcards on the wire. */
export type StringMatch =
  | { readonly is: 'exact'; readonly value: string }
  | { readonly is: 'prefix'; readonly value: string }
  | { readonly is: 'suffix'; readonly value: string }
  | { readonly is: 'presence' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** An absent or empty list makes no condition. */
export interface PolicyMatch {
  readonly namespaces?: readonly StringMatch[];
  readonly notNamespaces?: readonly StringMatch[];
  /** Compared with the SPIFFE id without `spiffe://`. */
  readonly principals?: readonly StringMatch[];
  readonly notPrincipals?: readonly StringMatch[];
  readonly serviceAccounts?: readonly ServiceAccountMatch[];
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
  readonly sourceIps?: readonly Cidr[];
  readonly notSourceIps?: readonly Cidr[];
  readonly destinationIps?: readonly Cidr[];
  readonly notDestinationIps?: readonly Cidr[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
}

export interface PolicyClause {
  readonly matches: readonly PolicyMatch[];
}

export interface PolicyRule {
  readonly clauses: readonly PolicyClause[];
}

export interface Policy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: PolicyScope;
  readonly action: PolicyAction;
  /** Evaluated and reported, but without effect. */
  readonly dryRun: boolean;
  readonly rules: readonly PolicyRule[];
}

/** How workloads, logs and xDS name a policy: `namespace/name`. */
export function policyKey(policy: { readonly namespace: string; readonly name: string }): string {
  return `${policy.namespace}/${policy.name}`;
}

export function formatStringMatch(match: StringMatch): string {
  switch (match.is) {
    case 'exact':
      return match.value;
    case 'prefix':
      return `${match.value}*`;
    case 'suffix':
      return `*${match.value}`;
    case 'presence':
      return '*';
  }
}
