import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@ambit/proto/protobuf';
import { AuthorizationSchema, type MatchSchema } from '@ambit/proto/security';
import { decodePolicy, type UnreadableRule } from './decode-policy.ts';
import type { Policy } from './policy.ts';

type PolicyInit = MessageInitShape<typeof AuthorizationSchema>;
type MatchInit = MessageInitShape<typeof MatchSchema>;

function decode(init: PolicyInit, unreadable: UnreadableRule = 'reject'): Policy {
  const bytes = toBinary(AuthorizationSchema, create(AuthorizationSchema, init));
  return decodePolicy(fromBinary(AuthorizationSchema, bytes), unreadable);
}

function decodeMatch(match: MatchInit, unreadable: UnreadableRule) {
  return decode({ rules: [{ clauses: [{ matches: [match] }] }] }, unreadable).rules[0]!.clauses[0]!.matches[0]!;
}

const NO_CONDITIONS = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
};

test('scopes and actions are read, and the empty levels stay as they are', () => {
  assert.deepEqual(decode({ name: 'p', namespace: 'n' }), {
    name: 'p',
    namespace: 'n',
    scope: 'global',
    action: 'ALLOW',
    dryRun: false,
    rules: [],
  });
  const { scope, action, dryRun, rules } = decode({
    scope: 2,
    action: 1,
    dryRun: true,
    rules: [{}, { clauses: [{}, { matches: [{}] }] }],
  });
  assert.deepEqual([scope, action, dryRun], ['workload', 'DENY', true]);
  assert.deepEqual(rules, [{ clauses: [] }, { clauses: [{ matches: [] }, { matches: [NO_CONDITIONS] }] }]);
  assert.equal(decode({ scope: 1 }).scope, 'namespace');
});

test('every field of a match arrives in its own place', () => {
  const string = (value: string) => ({ matchType: { case: 'exact', value } }) as const;
  const block = (last: number) => ({ address: Uint8Array.of(10, 0, 0, last), length: 32 });
  const match = decodeMatch(
    {
      namespaces: [string('1'), { matchType: { case: 'prefix', value: 'p' } }],
      notNamespaces: [string('2'), { matchType: { case: 'suffix', value: 's' } }],
      principals: [string('3'), { matchType: { case: 'presence', value: {} } }],
      notPrincipals: [string('4')],
      sourceIps: [block(5)],
      notSourceIps: [block(6)],
      destinationIps: [block(7)],
      notDestinationIps: [block(8)],
      destinationPorts: [9],
      notDestinationPorts: [10],
      serviceAccounts: [{ namespace: '11', serviceAccount: 'a' }],
      notServiceAccounts: [{ namespace: '12', serviceAccount: 'b' }],
    },
    'reject',
  );
  const exact = (value: string) => ({ is: 'exact', value });
  const { sourceIps, notSourceIps, destinationIps, notDestinationIps, ...rest } = match;
  assert.deepEqual(rest, {
    namespaces: [exact('1'), { is: 'prefix', value: 'p' }],
    notNamespaces: [exact('2'), { is: 'suffix', value: 's' }],
    principals: [exact('3'), { is: 'presence' }],
    notPrincipals: [exact('4')],
    destinationPorts: [9],
    notDestinationPorts: [10],
    serviceAccounts: [{ namespace: '11', serviceAccount: 'a' }],
    notServiceAccounts: [{ namespace: '12', serviceAccount: 'b' }],
  });
  const blocks = [sourceIps, notSourceIps, destinationIps, notDestinationIps].map(String);
  assert.deepEqual(blocks, ['10.0.0.5/32', '10.0.0.6/32', '10.0.0.7/32', '10.0.0.8/32']);
});

describe('a policy is rejected with', () => {
  test('an unknown scope', () =>
    assert.throws(() => decode({ scope: 9 as 0 }), { code: 'RESOURCE_REJECTED', message: /scope: 9/ }));
  test('an unknown action', () =>
    assert.throws(() => decode({ action: 9 as 0 }), { code: 'RESOURCE_REJECTED', message: /action: 9/ }));
});

describe('a value that cannot be read is skipped as in Istio, or the policy rejected', () => {
  const address = Uint8Array.of(10, 0, 0, 1);
  const cases: [string, MatchInit, RegExp][] = [
    ['a string match that says nothing', { principals: [{}] }, /principals\[0\]/],
    ['an address of three bytes', { sourceIps: [{ address: Uint8Array.of(1, 2, 3), length: 8 }] }, /source_ips\[0\]/],
    ['a prefix that is too long', { notDestinationIps: [{ address, length: 33 }] }, /not_destination_ips\[0\]/],
  ];
  for (const [name, match, reason] of cases) {
    test(name, () => {
      // The list becomes one that asks for nothing.
      assert.deepEqual(decodeMatch(match, 'skip'), NO_CONDITIONS);
      assert.throws(() => decodeMatch(match, 'reject'), { code: 'RESOURCE_REJECTED', message: reason });
    });
  }

  test('a port above 65535 loses its upper bits', () => {
    assert.deepEqual(decodeMatch({ destinationPorts: [65_616] }, 'skip').destinationPorts, [80]);
    assert.throws(() => decodeMatch({ destinationPorts: [65_616] }, 'reject'), { message: /destination_ports\[0\]/ });
  });
});
