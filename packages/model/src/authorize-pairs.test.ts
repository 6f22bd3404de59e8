import assert from 'node:assert/strict';
import test from 'node:test';
import { authorize } from './authorize.ts';
import { comparePairs, type Evaluator } from './authorize-pairs.fixture.ts';
import { PolicySet } from './policy-set.ts';

const EVALUATOR: Evaluator = { authorize, policySetOf: (policies) => PolicySet.of(policies) };

test('twenty thousand generated calls are decided as the naive evaluator does, with and without a recorder', () => {
  const { pairs, outcomes, differences } = comparePairs(EVALUATOR, 1, 20_000);
  assert.deepEqual(differences, []);
  assert.equal(pairs, 20_000);
  // Were nearly all calls decided in one way, agreement would say little.
  const least = { 'allow policy': 0.1, 'deny policy': 0.1, 'allow no-allow-policies': 0.1, 'deny none-allowed': 0.1 };
  for (const [how, share] of Object.entries(least)) {
    assert.ok((outcomes.get(how) ?? 0) >= share * pairs, `${how}: ${outcomes.get(how)} of ${pairs}`);
  }
  assert.ok((outcomes.get('deny unknown-policy') ?? 0) > 50);
});
