/**
 * The same rules once more, read straight from the table and with no thought for speed: a list of what holds at every
 * level. It shares no code with authorize.ts, not even the comparison of addresses, which are texts of bits here.
 */
import type { Call } from './call.ts';
import type { Cidr, IpAddress } from './ip-address.ts';
import type { Policy, PolicyClause, PolicyMatch, PolicyRule, ServiceAccountMatch, StringMatch } from './policy.ts';

/** The first word of what may decide, and every policy which may be named as the reason. */
export interface NaiveVerdict {
  readonly verdict: 'allow' | 'deny';
  readonly by: readonly string[];
}

export function authorizeNaively(
  policies: readonly Policy[],
  call: Call,
  unknownPolicy: 'deny' | 'skip',
): NaiveVerdict {
  const named = new Set(call.destination.authorizationPolicies);
  const applying = policies.filter(
    (policy) =>
      policy.scope === 'global' ||
      (policy.scope === 'namespace' && policy.namespace === call.destination.namespace) ||
      named.has(nameOf(policy)),
  );
  const inForce = applying.filter(({ dryRun }) => !dryRun);
  const deny = inForce.filter(({ action }) => action === 'DENY').filter((policy) => policyMatches(policy, call));
  if (deny.length > 0) return { verdict: 'deny', by: deny.map(nameOf) };
  const known = new Set(policies.map(nameOf));
  if (unknownPolicy === 'deny' && !named.isSubsetOf(known)) return { verdict: 'deny', by: ['unknown-policy'] };
  const allow = inForce.filter(({ action }) => action === 'ALLOW');
  if (allow.length === 0) return { verdict: 'allow', by: ['no-allow-policies'] };
  const allowing = allow.filter((policy) => policyMatches(policy, call));
  if (allowing.length > 0) return { verdict: 'allow', by: allowing.map(nameOf) };
  return { verdict: 'deny', by: ['none-allowed'] };
}

function nameOf(policy: Policy): string {
  return [policy.namespace, policy.name].join('/');
}

export function policyMatches(policy: Policy, call: Call): boolean {
  return policy.rules.map((rule) => ruleMatches(rule, call)).includes(true);
}

function ruleMatches(rule: PolicyRule, call: Call): boolean {
  return !rule.clauses.map((clause) => clauseMatches(clause, call)).includes(false);
}

function clauseMatches(clause: PolicyClause, call: Call): boolean {
  if (clause.matches.length === 0) return true;
  return clause.matches.some((match) => !isEmptyMatch(match) && matchMatches(match, call));
}

function isEmptyMatch(match: PolicyMatch): boolean {
  return Object.values(match).every((list: readonly unknown[] | undefined) => list === undefined || list.length === 0);
}

function matchMatches(match: PolicyMatch, call: Call): boolean {
  const principal =
    call.source && `${call.source.trustDomain}/ns/${call.source.namespace}/sa/${call.source.serviceAccount}`;
  const isPrincipal = (wanted: StringMatch): boolean => principal !== null && stringMatches(wanted, principal);
  const isNamespace = (wanted: StringMatch): boolean => stringMatches(wanted, call.source?.namespace ?? '');
  const isAccount = (wanted: ServiceAccountMatch): boolean =>
    call.source !== null &&
    call.source.namespace === wanted.namespace &&
    call.source.serviceAccount === wanted.serviceAccount;
  const holdsSource = (block: Cidr): boolean => contains(block, call.sourceIp);
  const holdsDestination = (block: Cidr): boolean => contains(block, call.destinationIp);
  const isPort = (port: number): boolean => port === call.destinationPort;
  return [
    kind(match.principals, match.notPrincipals, isPrincipal),
    kind(match.namespaces, match.notNamespaces, isNamespace),
    kind(match.serviceAccounts, match.notServiceAccounts, isAccount),
    kind(match.sourceIps, match.notSourceIps, holdsSource),
    kind(match.destinationIps, match.notDestinationIps, holdsDestination),
    kind(match.destinationPorts, match.notDestinationPorts, isPort),
  ].every((holds) => holds);
}

function kind<Value>(
  positive: readonly Value[] = [],
  negative: readonly Value[] = [],
  predicate: (value: Value) => boolean,
): boolean {
  return (positive.length === 0 || positive.some(predicate)) && !negative.some(predicate);
}

function stringMatches(wanted: StringMatch, text: string): boolean {
  if (wanted.is === 'presence') return text.length > 0;
  if (wanted.is === 'exact') return wanted.value === text;
  const { length } = wanted.value;
  if (wanted.is === 'prefix') return text.slice(0, length) === wanted.value;
  return length <= text.length && text.slice(text.length - length) === wanted.value;
}

function contains(block: Cidr, ip: IpAddress): boolean {
  const network = bitsOf(block.address);
  const address = bitsOf(ip);
  return network.length === address.length && network.slice(0, block.prefixBits) === address.slice(0, block.prefixBits);
}

function bitsOf(ip: IpAddress): string {
  return [...ip.toBytes()].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}
