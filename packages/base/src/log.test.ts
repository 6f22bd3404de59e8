import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ManualClock } from './clock.ts';
import { AmbitError } from './errors.ts';
import { createLog, formatJson, formatText, LOG_VALUE_CHARS_MAX, type LogFields, parseLogLevel } from './log.ts';

const AT_MS = Date.UTC(2026, 0, 31, 12);

function textOf(fields: LogFields): string {
  return formatText({ atMs: AT_MS, level: 'info', event: 'connection closed', fields });
}

const refused = new AmbitError('CONNECT_REFUSED', 'nobody listens there', {
  side: 'upstream',
  retry: 'safe',
  hint: 'start the server',
});

test('a text line is time, level, event and key=value, quoted only where it must be', () => {
  const table: [LogFields, string][] = [
    [{}, ''],
    [{ bytes: 12, big: 9007199254740993n, ok: true, none: null }, ' bytes=12 big=9007199254740993 ok=true none=null'],
    [{ gone: undefined }, ''],
    [{ peer: 'spiffe://td/ns/a/sa/b' }, ' peer=spiffe://td/ns/a/sa/b'],
    [{ ip: 'fe80::1%eth0' }, ' ip=fe80::1%eth0'],
    [{ text: 'a b' }, ' text="a b"'],
    [{ text: '' }, ' text=""'],
    [{ text: 'a="b"' }, ' text="a=\\"b\\""'],
    [{ text: 'x\nINFO forged' }, ' text="x\\nINFO forged"'],
    [{ text: 'x\u2028\u009b31m' }, ' text="x\\u2028\\u009b31m"'],
    [{ error: new Error('broke') }, ' error=broke'],
    [
      { error: refused },
      ' error="nobody listens there" error_code=CONNECT_REFUSED error_side=upstream error_retry=safe error_hint="start the server"',
    ],
  ];
  for (const [fields, expected] of table) {
    assert.equal(textOf(fields), `2026-01-31T12:00:00.000Z INFO connection closed${expected}`);
  }
});

test('a JSON line carries the same, and no field takes the place of time, level or event', () => {
  const fields = { bytes: 12, big: 5n, level: 'fake', error: refused };
  assert.deepEqual(JSON.parse(formatJson({ atMs: AT_MS, level: 'warn', event: 'slow', fields })), {
    time: '2026-01-31T12:00:00.000Z',
    level: 'warn',
    event: 'slow',
    bytes: 12,
    big: '5',
    error: 'nobody listens there',
    error_code: 'CONNECT_REFUSED',
    error_side: 'upstream',
    error_retry: 'safe',
    error_hint: 'start the server',
  });
});

test('whatever a field or the event holds, a record stays one line without control characters', () => {
  // Every UTF-16 unit, so that control characters and lone surrogates are common.
  const nasty = fc.string({ unit: fc.nat(0x2fff).map((unit) => String.fromCharCode(unit % 0x2030)) });
  fc.assert(
    fc.property(nasty, nasty, (event, value) => {
      for (const format of [formatText, formatJson]) {
        const line = format({ atMs: AT_MS, level: 'info', event, fields: { value, error: new Error(value) } });
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u);
      }
      const json = formatJson({ atMs: AT_MS, level: 'info', event, fields: { value } });
      assert.equal((JSON.parse(json) as { value: string }).value, value);
    }),
  );
});

test('a long text is cut', () => {
  const line = textOf({ text: 'x'.repeat(LOG_VALUE_CHARS_MAX + 1), error: new Error('y'.repeat(1_000_000)) });
  assert.ok(line.length < 3 * LOG_VALUE_CHARS_MAX);
  assert.match(line, / text=x+\.\.\./);
  assert.ok(textOf({ text: 'x'.repeat(LOG_VALUE_CHARS_MAX) }).endsWith('x'));
});

test('a log writes its level and above, and its fields on every line', () => {
  const clock = new ManualClock(AT_MS);
  const ranks = ['debug', 'info', 'warn', 'error'] as const;
  for (const [rank, level] of ranks.entries()) {
    const lines: string[] = [];
    const log = createLog({ level, format: formatText, clock, sink: (line) => lines.push(line) });
    const child = log.with({ role: 'ztunnel', pod: 'a' }).with({ pod: 'b' });
    for (const each of ranks) child[each]('ready', { port: 15008 });
    assert.deepEqual(
      lines,
      ranks
        .slice(rank)
        .map((each) => `2026-01-31T12:00:00.000Z ${each.toUpperCase()} ready role=ztunnel pod=b port=15008`),
    );
    assert.equal(log.enabled('error'), true);
    assert.equal(log.enabled('debug'), level === 'debug');
  }
});

test('a level is one of four words', () => {
  assert.equal(parseLogLevel('warn'), 'warn');
  for (const text of ['', 'WARN', 'trace', 'toString']) assert.equal(parseLogLevel(text), null);
});
