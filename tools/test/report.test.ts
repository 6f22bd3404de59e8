import assert from 'node:assert/strict';
import test from 'node:test';
import { type FileEnd, resultOf, type TestEvent } from './report.ts';

const pass: TestEvent = { is: 'pass', name: 'works' };
const skip: TestEvent = { is: 'skip', name: 'asks a peer', reason: 'the peer is not here' };
const fail: TestEvent = { is: 'fail', name: 'breaks', line: 3, text: 'Error: no' };
const end: TestEvent = { is: 'end' };

function endOf(events: TestEvent[], more: Partial<FileEnd> = {}): FileEnd {
  return { events, exit: 0, timedOut: false, output: 'its last words', durationMs: 1, ...more };
}

test('tests are counted, and skipped ones keep name and reason', () => {
  const result = resultOf('x.test.ts', endOf([pass, pass, skip, end]));
  assert.equal(result.passed, 2);
  assert.deepEqual(result.failures, []);
  assert.deepEqual(result.skipped, ['asks a peer (the peer is not here)']);
});

test('a failed test is one failure, and the status that follows from it no second one', () => {
  const result = resultOf('x.test.ts', endOf([pass, fail, end], { exit: 1 }));
  assert.deepEqual(
    result.failures.map(({ name }) => name),
    ['breaks'],
  );
});

test('a file that did not run to its end is a failure, whatever its tests said', () => {
  const table: [string, FileEnd, RegExp][] = [
    ['crashed when loaded', endOf([], { exit: 1 }), /ended with status 1/],
    ['crashed after its tests', endOf([pass, end], { exit: 7 }), /ended with status 7/],
    ['left early with status 0', endOf([pass]), /ended before its tests did/],
    ['fell to a signal', endOf([pass], { exit: 'SIGSEGV' }), /ended by SIGSEGV/],
    ['hung', endOf([pass], { exit: 'SIGKILL', timedOut: true }), /did not end in time/],
    ['holds no test', endOf([end]), /holds no test/],
    ['holds nothing', endOf([]), /holds no test/],
  ];
  for (const [name, fileEnd, expected] of table) {
    const { failures } = resultOf('x.test.ts', fileEnd);
    assert.equal(failures.length, 1, name);
    assert.match(failures[0]?.name ?? '', expected, name);
    assert.equal(failures[0]?.text, 'its last words', name);
  }
});
