import assert from 'node:assert/strict';
import test from 'node:test';
import { scan } from './scan.ts';

test('comments, strings, templates and regular expressions are told from code', () => {
  const table: [string, string][] = [
    ['a // b', 'a     '],
    ['a /* b\n c */ d', 'a     \n      d'],
    ["f('it // is') + 1", "f('        ') + 1"],
    ['f("a\\"b")', 'f("    ")'],
    // `#` stands for the dollar sign, or this string would look like a mistake.
    ['`a #{b} c` + d', '`      b    ` + d'],
    ['`#{ `x#{y}` }z` + {}', '`   `   y ` + {}'],
    ['x = /["/]\\/\'/g; y', 'x = /      /g; y'],
    ['x = a / b / c', 'x = a / b / c'],
    ['return /a"b/.test(c)', 'return /   /.test(c)'],
    ['#!/usr/bin/env node\nx', '                   \nx'],
  ];
  for (const [written, code] of table) {
    const source = written.replaceAll('#{', '$$\u007b');
    const result = scan(source).code;
    assert.equal(result.length, source.length, source);
    assert.equal(squeeze(result), squeeze(code), source);
  }
});

/** How many blanks stand for something is of no matter; their sum is checked above. */
function squeeze(code: string): string {
  return code.replace(/[ \t]+/g, '').replace(/`+/g, '`');
}

test('places are lines, and strings and comments keep their text', () => {
  const { comments, strings, lineAt } = scan("const a = 'x';\n/* one\n two */\nconst b = 1; // three\n");
  assert.deepEqual(strings, [{ start: 10, value: 'x' }]);
  assert.deepEqual(
    comments.map(({ startLine, endLine }) => [startLine, endLine]),
    [
      [2, 3],
      [4, 4],
    ],
  );
  assert.equal(lineAt(0), 1);
  assert.equal(lineAt(14), 1);
  assert.equal(lineAt(15), 2);
});

test('an unfinished source ends the scan and not the program', () => {
  for (const source of ["'", '"\\', '`${', '/* ', '/[', '`']) assert.equal(scan(source).code.length, source.length);
});
