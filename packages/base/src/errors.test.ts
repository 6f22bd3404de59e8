import assert from 'node:assert/strict';
import test from 'node:test';
import { assert as invariant, unreachable } from './assert.ts';
import { AmbitError, asAmbitError } from './errors.ts';

test('an error carries code, side, retry verdict and hint, and a cause only where there is one', () => {
  const cause = new Error('below');
  const error = new AmbitError('CONNECT_REFUSED', 'nobody listens', {
    side: 'upstream',
    retry: 'safe',
    hint: 'start it',
    cause,
  });
  assert.ok(error instanceof Error);
  const { name, message, code, side, retry, hint } = error;
  assert.deepEqual(
    [name, message, code, side, retry, hint],
    ['AmbitError', 'nobody listens', 'CONNECT_REFUSED', 'upstream', 'safe', 'start it'],
  );
  assert.equal(error.cause, cause);
  assert.equal('cause' in new AmbitError('X', 'x', { side: 'internal', retry: 'never' }), false);
});

test('anything thrown becomes an error of ours, and one of ours stays itself', () => {
  const own = new AmbitError('X', 'x', { side: 'upstream', retry: 'never' });
  assert.equal(asAmbitError(own), own);
  for (const [thrown, message] of [
    [new Error('broke'), 'broke'],
    ['text', 'text'],
    [undefined, 'undefined'],
  ] as const) {
    const error = asAmbitError(thrown);
    assert.deepEqual(
      [error.code, error.side, error.retry, error.message],
      ['INTERNAL', 'internal', 'unknown', message],
    );
    assert.equal(error.cause, thrown);
  }
});

test('an assertion that fails says which, and one that holds nothing', () => {
  invariant(true, 'never said');
  assert.throws(() => invariant(false, 'credit is positive'), /^Error: assertion failed: credit is positive$/);
  assert.throws(() => unreachable('surprise' as never), /unreachable: surprise/);
});
