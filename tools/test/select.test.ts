import assert from 'node:assert/strict';
import test from 'node:test';
import { groupFiles, parseSelection, type Selection } from './select.ts';

const PATHS = [
  'packages/base/src/ring.ts',
  'packages/base/src/ring.test.ts',
  'packages/net/src/reactor/reactor.test.ts',
  'packages/net/src/reactor/flood.slow.test.ts',
  'test/first-light.test.ts',
];

function chosen(...args: string[]): Record<string, readonly string[]> {
  const groups = groupFiles(PATHS, parseSelection(args, false) as Selection);
  return Object.fromEntries(groups.filter(({ files }) => files.length > 0).map(({ name, files }) => [name, files]));
}

test('without a name everything runs that is not slow, each file in one group', () => {
  assert.deepEqual(chosen(), {
    unit: ['packages/base/src/ring.test.ts'],
    engine: ['packages/net/src/reactor/reactor.test.ts'],
    e2e: ['test/first-light.test.ts'],
  });
});

test('slow suites run with --all, in CI, or when named in full', () => {
  const slow = 'packages/net/src/reactor/flood.slow.test.ts';
  assert.deepEqual(chosen('--all').engine, [slow, 'packages/net/src/reactor/reactor.test.ts']);
  assert.deepEqual(chosen(slow), { engine: [slow] });
  assert.deepEqual(chosen('flood'), {});
  assert.equal((parseSelection([], true) as Selection).all, true);
});

test('a name is a group, a path or a part of one', () => {
  assert.deepEqual(Object.keys(chosen('unit', 'e2e')), ['unit', 'e2e']);
  assert.deepEqual(chosen('./packages/base'), { unit: ['packages/base/src/ring.test.ts'] });
  assert.deepEqual(chosen('reactor'), { engine: ['packages/net/src/reactor/reactor.test.ts'] });
  assert.deepEqual(chosen('nothing-like-it'), {});
});

test('an unknown option is said and not ignored', () => {
  assert.equal(parseSelection(['--fast'], false), 'unknown option --fast');
});
