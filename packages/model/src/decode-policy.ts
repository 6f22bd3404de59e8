/**
 * From `istio.security.Authorization` to a policy. Istio's ztunnel drops values that it cannot read, so that a list can
 * end up empty and ask for nothing: an ALLOW then allows more than was written. The caller chooses between that and
 * rejecting the policy.
 */
import type {
  Address,
  Authorization,
  Match,
  ServiceAccountMatch as ServiceAccountMessage,
  StringMatch as StringMatchMessage,
} from '@ambit/proto/security';
import { type Cidr, cidrOf } from './ip-address.ts';
import type { Policy, PolicyMatch, ServiceAccountMatch, StringMatch } from './policy.ts';
import { enumWord, portOf, rejection } from './rejection.ts';

/** What becomes of a value that cannot be read: an address, a port above 65535, a string match that says nothing. */
export type UnreadableRule = 'reject' | 'skip';

// By the numbers of istio.security's enums.
const SCOPES = { 0: 'global', 1: 'namespace', 2: 'workload' } as const;
const ACTIONS = { 0: 'ALLOW', 1: 'DENY' } as const;

/** Throws a rejection (RESOURCE_REJECTED). */
export function decodePolicy(message: Authorization, unreadable: UnreadableRule): Policy {
  return {
    name: message.name,
    namespace: message.namespace,
    scope: enumWord(SCOPES, message.scope, 'scope'),
    action: enumWord(ACTIONS, message.action, 'action'),
    dryRun: message.dryRun,
    rules: message.rules.map(({ clauses }) => ({
      clauses: clauses.map(({ matches }) => ({ matches: matches.map((match) => decodeMatch(match, unreadable)) })),
    })),
  };
}

function decodeMatch(message: Match, unreadable: UnreadableRule): PolicyMatch {
  const strings = (field: string, values: readonly StringMatchMessage[]) =>
    readable(values, decodeString, unreadable, field);
  const blocks = (field: string, values: readonly Address[]) => readable(values, decodeBlock, unreadable, field);
  const decodePort = (port: number) => (port > 0xffff && unreadable === 'reject' ? null : portOf(port));
  const ports = (field: string, values: readonly number[]) => readable(values, decodePort, unreadable, field);
  return {
    namespaces: strings('namespaces', message.namespaces),
    notNamespaces: strings('not_namespaces', message.notNamespaces),
    principals: strings('principals', message.principals),
    notPrincipals: strings('not_principals', message.notPrincipals),
    serviceAccounts: message.serviceAccounts.map(decodeAccount),
    notServiceAccounts: message.notServiceAccounts.map(decodeAccount),
    sourceIps: blocks('source_ips', message.sourceIps),
    notSourceIps: blocks('not_source_ips', message.notSourceIps),
    destinationIps: blocks('destination_ips', message.destinationIps),
    notDestinationIps: blocks('not_destination_ips', message.notDestinationIps),
    destinationPorts: ports('destination_ports', message.destinationPorts),
    notDestinationPorts: ports('not_destination_ports', message.notDestinationPorts),
  };
}

function readable<From, To>(
  values: readonly From[],
  decode: (value: From) => To | null,
  unreadable: UnreadableRule,
  field: string,
): To[] {
  const decoded: To[] = [];
  for (const [index, value] of values.entries()) {
    const one = decode(value);
    if (one !== null) decoded.push(one);
    else if (unreadable === 'reject') throw rejection(`${field}[${index}] cannot be read`);
  }
  return decoded;
}

function decodeString({ matchType }: StringMatchMessage): StringMatch | null {
  switch (matchType.case) {
    case 'exact':
    case 'prefix':
    case 'suffix':
      return { is: matchType.case, value: matchType.value };
    case 'presence':
      return { is: 'presence' };
    case undefined:
      return null;
  }
}

function decodeBlock({ address, length }: Address): Cidr | null {
  return cidrOf(address, length);
}

function decodeAccount({ namespace, serviceAccount }: ServiceAccountMessage): ServiceAccountMatch {
  return { namespace, serviceAccount };
}
