import assert from 'node:assert/strict';
import test from 'node:test';
import { authorize } from './authorize.ts';
import { makeCall } from './call.ts';
import { ReasonList } from './decision.ts';
import { parseIpAddress } from './ip-address.ts';
import { REMOVED_POLICIES_MAX } from './limits.ts';
import type { Policy, PolicyScope } from './policy.ts';
import { PolicySet } from './policy-set.ts';

function policy(
  namespace: string,
  name: string,
  scope: PolicyScope = 'namespace',
  action: Policy['action'] = 'DENY',
): Policy {
  return { name, namespace, scope, action, dryRun: false, rules: [] };
}

const keysOf = (group: readonly { readonly key: string }[]): string[] => group.map(({ key }) => key);

test('a set reached by updates is in the order of one read at once', () => {
  const all = [policy('a', '1'), policy('a', '2'), policy('a', '3'), policy('root', 'g', 'global'), policy('b', '1')];
  const updated = PolicySet.of([policy('a', '3'), policy('a', 'gone')])
    .with([policy('b', '1'), policy('a', '1')], ['a/gone'])
    .with([policy('root', 'g', 'global'), policy('a', '2')], []);
  const cold = PolicySet.of(all);
  for (const set of [updated, cold]) {
    assert.equal(set.size, 5);
    assert.deepEqual(keysOf(set.inNamespace('a').deny), ['a/1', 'a/2', 'a/3']);
    assert.deepEqual(keysOf(set.inNamespace('b').deny), ['b/1']);
    assert.deepEqual(keysOf(set.global.deny), ['root/g']);
  }
});

test('a policy that changes scope or action leaves its old place, and the old set stays as it was', () => {
  const before = PolicySet.of([policy('a', '1')]);
  const global = before.with([policy('a', '1', 'global', 'ALLOW')], []);
  assert.deepEqual(keysOf(global.inNamespace('a').deny), []);
  assert.deepEqual(keysOf(global.global.allow), ['a/1']);
  const selected = global.with([policy('a', '1', 'workload')], []);
  assert.deepEqual(keysOf(selected.global.allow), []);
  assert.equal(selected.get('a/1')?.policy.scope, 'workload');
  assert.deepEqual(keysOf(before.inNamespace('a').deny), ['a/1']);
});

test('what did not change is not compiled again', () => {
  const before = PolicySet.of([policy('a', '1')]);
  const after = before.with([policy('a', '2')], ['a/none']);
  assert.equal(after.get('a/1'), before.get('a/1'));
});

test('a removed policy is remembered as such until it comes back, and only so many of them', () => {
  const removed = PolicySet.of([policy('a', '1')]).with([], ['a/1']);
  assert.equal(removed.get('a/1'), undefined);
  assert.equal(removed.isRemoved('a/1'), true);
  assert.equal(removed.isRemoved('a/2'), false);
  assert.equal(removed.with([policy('a', '1')], []).isRemoved('a/1'), false);
  const many = Array.from({ length: REMOVED_POLICIES_MAX }, (_, index) => `b/${index}`);
  const full = removed.with([], many);
  assert.equal(full.isRemoved('a/1'), false);
  assert.equal(full.isRemoved('b/0'), true);
});

test('what a set holds and has forgotten makes another that decides the same', () => {
  const set = PolicySet.of([policy('a', '1'), policy('a', '2')]).with([policy('b', '1')], ['a/2', 'c/never-known']);
  const policies = [...set.values()].map((compiled) => compiled.policy);
  const copy = PolicySet.EMPTY.with(policies, set.removedKeys());
  assert.deepEqual(
    [...copy.values()].map(({ key }) => key),
    ['a/1', 'b/1'],
  );
  assert.deepEqual([...copy.removedKeys()], ['a/2', 'c/never-known']);
});

test('policies of other namespaces are not looked at', () => {
  const others = Array.from({ length: 10_000 }, (_, index) => policy(`n${index % 100}`, `p${index}`));
  const policies = PolicySet.of([...others, policy('shop', 'p'), policy('n1', 'selected', 'workload')]);
  const ip = parseIpAddress('10.0.0.1')!;
  const destination = { namespace: 'shop', authorizationPolicies: [] };
  const reasons = new ReasonList(20_000);
  authorize(
    policies,
    makeCall({ source: null, sourceIp: ip, destinationIp: ip, destinationPort: 1, destination }),
    reasons,
  );
  assert.deepEqual(
    reasons.outcomes.map(({ policy: key }) => key),
    ['shop/p'],
  );
});
