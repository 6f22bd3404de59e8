/** A policy of a local mesh file: rules are lists of clauses, clauses lists of matches, alternatives of text YAML tags. */
import { type Cidr, parseCidr } from '@ambit/model/ip-address';
import type { Policy, PolicyMatch, ServiceAccountMatch, StringMatch } from '@ambit/model/policy';
import type { YamlFields, YamlValue } from './yaml-value.ts';

const SCOPES = { Global: 'global', Namespace: 'namespace', WorkloadSelector: 'workload' } as const;
const ACTIONS = { Allow: 'ALLOW', Deny: 'DENY' } as const;
const TAGS: Readonly<Record<string, 'exact' | 'prefix' | 'suffix'>> = {
  '!Exact': 'exact',
  '!Prefix': 'prefix',
  '!Suffix': 'suffix',
};
const PORT_MAX = 65_535;

export function readPolicy(value: YamlValue): Policy {
  return value.fields((fields) => ({
    name: fields.required('name').text(),
    namespace: fields.required('namespace').text(),
    scope: fields.required('scope').oneOf(SCOPES),
    action: fields.required('action').oneOf(ACTIONS),
    dryRun: fields.required('dryRun').boolean(),
    rules: fields
      .required('rules')
      .items()
      .map((rule) => ({
        clauses: rule.items().map((clause) => ({ matches: clause.items().map((match) => match.fields(readMatch)) })),
      })),
  }));
}

/** Only what is written: absent and empty mean the same, and an explanation prints what was written. */
function readMatch(fields: YamlFields): PolicyMatch {
  return {
    ...list(fields, 'namespaces', readString),
    ...list(fields, 'notNamespaces', readString),
    ...list(fields, 'principals', readString),
    ...list(fields, 'notPrincipals', readString),
    ...list(fields, 'serviceAccounts', readAccount),
    ...list(fields, 'notServiceAccounts', readAccount),
    ...list(fields, 'sourceIps', readCidr),
    ...list(fields, 'notSourceIps', readCidr),
    ...list(fields, 'destinationIps', readCidr),
    ...list(fields, 'notDestinationIps', readCidr),
    ...list(fields, 'destinationPorts', readPort),
    ...list(fields, 'notDestinationPorts', readPort),
  };
}

function list<Name extends keyof PolicyMatch, Item>(
  fields: YamlFields,
  name: Name,
  read: (value: YamlValue) => Item,
): Partial<Record<Name, Item[]>> {
  const items = fields.optional(name, (value) => value.items().map(read));
  return items === undefined ? {} : ({ [name]: items } as Record<Name, Item[]>);
}

function readString(value: YamlValue): StringMatch {
  const { tag } = value;
  if (tag === '!Presence') {
    if (value.taggedItems().length > 0) value.fail('must be written !Presence []');
    return { is: 'presence' };
  }
  const is = tag === null ? undefined : TAGS[tag];
  if (is === undefined) value.fail('must be written !Exact "x", !Prefix "x", !Suffix "x" or !Presence []');
  return { is, value: value.taggedText() };
}

function readAccount(value: YamlValue): ServiceAccountMatch {
  return value.fields((fields) => ({
    namespace: fields.required('namespace').text(),
    serviceAccount: fields.required('serviceAccount').text(),
  }));
}

function readCidr(value: YamlValue): Cidr {
  return parseCidr(value.text()) ?? value.fail('must be an address block, such as 10.0.0.0/8');
}

function readPort(value: YamlValue): number {
  return value.integer(0, PORT_MAX);
}
