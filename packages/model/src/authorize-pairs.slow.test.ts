import assert from 'node:assert/strict';
import test from 'node:test';
import { authorize } from './authorize.ts';
import { comparePairs } from './authorize-pairs.fixture.ts';
import { PolicySet } from './policy-set.ts';

const CHUNK_PAIRS = 100_000;

for (let chunk = 0; chunk < 10; chunk += 1) {
  test(`a million generated calls are decided as the naive evaluator does: part ${chunk + 1} of 10`, () => {
    const evaluator = { authorize, policySetOf: PolicySet.of };
    const { pairs, differences } = comparePairs(evaluator, 1_000_000 * (chunk + 1), CHUNK_PAIRS);
    assert.deepEqual(differences, []);
    assert.equal(pairs, CHUNK_PAIRS);
  });
}
