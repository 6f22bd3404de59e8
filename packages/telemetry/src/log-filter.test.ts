import assert from 'node:assert/strict';
import test from 'node:test';
import type { LogLevel } from '@ambit/base/log';
import { LOG_DIRECTIVES_MAX, LOG_SCOPE_CHARS_MAX } from './limits.ts';
import { LogFilter } from './log-filter.ts';
import { createScopedLog } from './scoped-log.ts';
import { lineOutput } from './telemetry.fixture.ts';

test('the longest scope that matches decides, with or without ztunnel::, and off is silent', () => {
  const table: [string, string, LogLevel[]][] = [
    ['info', 'access', ['info', 'warn', 'error']],
    ['access=error,debug', 'access', ['error']],
    ['access=error,debug', 'dns', ['debug', 'info', 'warn', 'error']],
    ['off', 'access', []],
    ['access=debug', 'dns', []],
    ['ztunnel::xds=trace,warn', 'ztunnel::xds::client', ['debug', 'info', 'warn', 'error']],
    ['xds=debug,warn', 'ztunnel::xds::client', ['debug', 'info', 'warn', 'error']],
    ['ztunnel=debug,ztunnel::xds=error', 'ztunnel::xds', ['error']],
  ];
  for (const [filter, scope, allowed] of table) {
    const parsed = LogFilter.parse(filter)!;
    const levels = (['debug', 'info', 'warn', 'error'] as const).filter((level) => parsed.allows(scope, level));
    assert.deepEqual(levels, allowed, `${filter} for ${scope}`);
  }
});

test('changes add to what is, the later directive of a scope counts, and reset goes back to the beginning first', () => {
  const filter = LogFilter.parse('access=debug,info')!;
  const steps: [string, boolean, string][] = [
    ['debug', false, 'access=debug,debug'],
    ['access=warn,xds=debug', false, 'access=warn,xds=debug,debug'],
    ['', true, 'access=debug,info'],
    ['off', true, 'access=debug,off'],
    ['xds=error,dns=warn', true, 'access=debug,xds=error,dns=warn,info'],
  ];
  for (const [text, reset, expected] of steps) {
    assert.equal(filter.change(text, reset), true);
    assert.equal(String(filter), expected);
  }
  const child = LogFilter.parse('info')!;
  assert.equal(child.replace(String(filter)), true);
  assert.equal(String(child), String(filter));
});

test('what is no directive is refused and changes nothing', () => {
  const many = Array.from({ length: LOG_DIRECTIVES_MAX }, (_, i) => `scope${i}=info`).join(',');
  const bad = [
    'bogus',
    'INFO',
    'access:warn',
    'access',
    'access=',
    '=info',
    'a=b=info',
    'a b=info',
    'x\n=info',
    'info,',
    'toString',
    `${'s'.repeat(LOG_SCOPE_CHARS_MAX + 1)}=info`,
    `${many},info`,
  ];
  const filter = LogFilter.parse('info')!;
  for (const text of bad) {
    assert.equal(filter.change(text, false), false, text);
    assert.equal(filter.replace(text), false, text);
    assert.equal(LogFilter.parse(text), null, text);
  }
  assert.equal(String(filter), 'info');
  // Together with what is there already they would be too many.
  assert.equal(filter.change(many, false), false);
  assert.equal(String(filter), 'info');
});

test('a log of a scope follows its filter at run time, and no field takes the place of the head', () => {
  const output = lineOutput('text', 'info');
  const log = createScopedLog(output, 'ztunnel::xds').with({ peer: 'istiod' });
  log.debug('hidden');
  assert.equal(log.enabled('debug'), false);
  output.filter.change('xds=debug', false);
  assert.equal(log.enabled('debug'), true);
  log.debug('shown', { count: 2, ok: true, level: 'fake', nothing: undefined, error: new Error('a "b"\nc') });
  assert.deepEqual(output.lines, [
    '2026-01-02T03:04:05.678901Z\tdebug\txds\tshown\tpeer="istiod" count=2 ok=true error="a \\"b\\"\\nc"',
  ]);
});
