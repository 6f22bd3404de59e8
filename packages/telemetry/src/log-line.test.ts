import assert from 'node:assert/strict';
import test from 'node:test';
import { LOG_VALUE_CHARS_MAX } from '@ambit/base/log';
import fc from 'fast-check';
import { beginLine, type LineFormat, timestamp } from './log-line.ts';
import { AT_MS, hostileText } from './telemetry.fixture.ts';

function lineOf(format: LineFormat, message: string, fields: readonly (readonly [string, string])[]): string {
  const line = beginLine(format, { atMs: AT_MS, level: 'info', scope: 'ztunnel::proxy', message });
  for (const [key, value] of fields) line.string(key, value);
  return line.end();
}

/** Reads a text line back, by the grammar of strings in Rust. */
function readText(line: string): [string, string][] {
  const [, , , , fields] = line.split('\t');
  const read: [string, string][] = [];
  for (const [, key, quoted] of fields!.matchAll(/(?:^| )(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    const value = quoted!.replace(/\\(?:u\{([0-9a-f]+)\}|(.))/g, (_, hex, char) =>
      hex === undefined
        ? ({ n: '\n', r: '\r', t: '\t', 0: '\0' }[char as string] ?? char)
        : String.fromCodePoint(Number.parseInt(hex, 16)),
    );
    read.push([key!, value]);
  }
  return read;
}

const anyFields = fc
  .array(
    hostileText.filter((text) => text !== ''),
    { maxLength: 4 },
  )
  .map((texts) => texts.map((text, i) => [`f${i}`, text] as [string, string]));

/** Ends a line somewhere, or commands a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
const DANGEROUS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/;

test('whatever is in message and fields, a text line is one line with its five parts, and gives the fields back', () => {
  fc.assert(
    fc.property(hostileText, anyFields, (message, fields) => {
      const line = lineOf('text', message, fields);
      assert.doesNotMatch(line, DANGEROUS);
      assert.equal(line.split('\t').length, 5);
      assert.deepEqual(readText(line), fields);
    }),
    { numRuns: 200 },
  );
});

test('whatever is in message and fields, a JSON line is one line and gives everything back', () => {
  fc.assert(
    fc.property(hostileText, anyFields, (message, fields) => {
      const line = lineOf('json', message, fields);
      assert.doesNotMatch(line, DANGEROUS);
      assert.deepEqual(Object.entries(JSON.parse(line)), [
        ['level', 'info'],
        ['time', '2026-01-02T03:04:05.678901Z'],
        ['scope', 'ztunnel::proxy'],
        ['message', message],
        ...fields,
      ]);
    }),
    { numRuns: 200 },
  );
});

test('an address is bare, and what only claims to be one is quoted', () => {
  fc.assert(
    fc.property(hostileText, (address) => {
      const line = beginLine('text', { atMs: AT_MS, level: 'info', scope: 'access', message: 'm' });
      line.bare('addr', address);
      line.string('next', 'x');
      const [, , , , fields] = line.end().split('\t');
      const [, first] = /^(?:addr=(?:[\w.:[\]/%-]+|"(?:[^"\\]|\\.)*") )?(next="x")$/.exec(fields!)!;
      assert.equal(first, 'next="x"');
    }),
  );
  const table: [string, string][] = [
    ['10.0.0.1:80', '10.0.0.1:80'],
    ['[fe80::1%eth0]:80', '[fe80::1%eth0]:80'],
    ['cart.shop:80', 'cart.shop:80'],
    ['a b', '"a b"'],
    ['x" error="none', '"x\\" error=\\"none"'],
  ];
  for (const [address, shown] of table) {
    const line = beginLine('text', { atMs: AT_MS, level: 'info', scope: 'access', message: 'm' });
    line.bare('addr', address);
    assert.equal(line.end().split('\t')[4], `addr=${shown}`);
  }
});

test('strings are quoted as Rust does', () => {
  const table: [string, string][] = [
    [`it's "quoted" \\ here`, `it's \\"quoted\\" \\\\ here`],
    ['\0\t\r\n\u001b[31m', '\\0\\t\\r\\n\\u{1b}[31m'],
    ['\u007f\u009b\u00ad\u200b\u2028\ufeff\ue000', '\\u{7f}\\u{9b}\\u{ad}\\u{200b}\\u{2028}\\u{feff}\\u{e000}'],
    ['e\u0301 \u00a0\u3000', 'e\\u{301} \\u{a0}\\u{3000}'],
    ['grün 猫 😀', 'grün 猫 😀'],
    ['\ud83d', '\\u{d83d}'],
  ];
  for (const [value, shown] of table) assert.equal(lineOf('text', 'm', [['k', value]]).split('\t')[4], `k="${shown}"`);
});

test('empty fields are left out, numbers are numbers, and a value that is too long is cut', () => {
  for (const [format, expected] of [
    ['text', '2026-01-02T03:04:05.678901Z\tdebug\taccess\tm\tn=0 big=9007199254740991'],
    [
      'json',
      '{"level":"debug","time":"2026-01-02T03:04:05.678901Z","scope":"access","message":"m","n":0,"big":9007199254740991}',
    ],
  ] as const) {
    const line = beginLine(format, { atMs: AT_MS, level: 'debug', scope: 'access', message: 'm' });
    line.string('a', null);
    line.string('b', '');
    line.bare('c', '');
    line.number('d', null);
    line.number('n', 0);
    line.number('big', Number.MAX_SAFE_INTEGER);
    assert.equal(line.end(), expected);
  }
  const cut = `${'x'.repeat(LOG_VALUE_CHARS_MAX)}...`;
  assert.equal(readText(lineOf('text', 'm', [['k', 'x'.repeat(100_000)]]))[0]![1], cut);
});

test('time is told in microseconds', () => {
  assert.equal(timestamp(AT_MS), '2026-01-02T03:04:05.678901Z');
  assert.equal(timestamp(0), '1970-01-01T00:00:00.000000Z');
  assert.equal(timestamp(999.9999), '1970-01-01T00:00:01.000000Z');
});
