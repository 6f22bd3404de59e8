/**
 * A world of rbac-pairs.ts as the file that Istio's ztunnel reads in place of a control plane (LOCAL_XDS_PATH): YAML, all
 * keys in camel case, alternatives of a string match as YAML tags.
 */
import type { Cidr } from '@ambit/model/ip-address';
import type { Policy, PolicyMatch, StringMatch } from '@ambit/model/policy';
import type { RbacWorld } from './rbac-pairs.ts';

const TAGS = { exact: 'Exact', prefix: 'Prefix', suffix: 'Suffix' } as const;
const SCOPES = { global: 'Global', namespace: 'Namespace', workload: 'WorkloadSelector' } as const;
const ACTIONS = { ALLOW: 'Allow', DENY: 'Deny' } as const;

/** Flow style throughout: JSON is YAML, but for the tags. */
export function formatZtunnelFile(world: RbacWorld): string {
  const { name, namespace, serviceAccount, addresses, authorizationPolicies } = world.destination;
  const workload = mapping({
    uid: quote(`c//Pod/${namespace}/${name}`),
    name: quote(name),
    namespace: quote(namespace),
    serviceAccount: quote(serviceAccount),
    trustDomain: quote('cluster.local'),
    clusterId: quote('Kubernetes'),
    network: quote(''),
    workloadIps: sequence(addresses.map((address) => quote(String(address)))),
    protocol: 'HBONE',
    node: quote('n1'),
    services: '{}',
    authorizationPolicies: sequence(authorizationPolicies.map(quote)),
  });
  const policies = world.policies.map((policy) => `- ${formatPolicy(policy)}\n`).join('');
  return `workloads:\n- ${workload}\npolicies:${policies === '' ? ' []\n' : `\n${policies}`}`;
}

function formatPolicy(policy: Policy): string {
  const rules = policy.rules.map(({ clauses }) =>
    sequence(clauses.map(({ matches }) => sequence(matches.map(formatMatch)))),
  );
  return mapping({
    name: quote(policy.name),
    namespace: quote(policy.namespace),
    scope: SCOPES[policy.scope],
    action: ACTIONS[policy.action],
    dryRun: String(policy.dryRun),
    rules: sequence(rules),
  });
}

function formatMatch(match: PolicyMatch): string {
  const entries = Object.entries(match).map(([field, values]: [string, readonly unknown[]]) => [
    field,
    sequence(values.map(formatValue)),
  ]);
  return mapping(Object.fromEntries(entries) as Record<string, string>);
}

function formatValue(value: unknown): string {
  if (typeof value === 'number') return String(value);
  const given = value as StringMatch | Cidr | { readonly namespace: string; readonly serviceAccount: string };
  if ('is' in given) return given.is === 'presence' ? '!Presence []' : `!${TAGS[given.is]} ${quote(given.value)}`;
  if ('prefixBits' in given) return quote(String(given));
  return mapping({ namespace: quote(given.namespace), serviceAccount: quote(given.serviceAccount) });
}

function mapping(entries: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(entries).map(([key, value]) => `${key}: ${value}`);
  return `{${pairs.join(', ')}}`;
}

function sequence(values: readonly string[]): string {
  return `[${values.join(', ')}]`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
