import assert from 'node:assert/strict';
import test from 'node:test';
import { authorize } from './authorize.ts';

const CLIENT = 'spiffe://cluster.local/ns/demo/sa/client';

test('only the named identity on the named port is let in', () => {
  const rules = [{ identity: CLIENT, port: 80 }];
  assert.deepEqual(authorize(rules, CLIENT, 80), { verdict: 'allow', by: 'rule 0' });
  assert.equal(authorize(rules, CLIENT, 81).verdict, 'deny');
  assert.equal(authorize(rules, `${CLIENT}2`, 80).verdict, 'deny');
  assert.equal(authorize([], CLIENT, 80).verdict, 'deny');
});
