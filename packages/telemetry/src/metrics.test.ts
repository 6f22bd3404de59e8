import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { expositionContentType, formatExposition } from './exposition.ts';
import { LabelSchema } from './metric-labels.ts';
import { MetricRegistry } from './metrics.ts';
import { hostileText } from './telemetry.fixture.ts';

const PAIR = new LabelSchema(['a', 'b']);

/** Without the registry's own metric. */
function expose(registry: MetricRegistry): string {
  return formatExposition(registry).replace(/^(# (HELP|TYPE) )?ambit_metric_label_sets_refused.*\n/gm, '');
}

test('counters are typed without and sampled with _total, and a metric without series is left out', () => {
  const registry = new MetricRegistry();
  const calls = registry.counter({ name: 'calls', help: 'Calls' }, PAIR);
  registry.counter({ name: 'never', help: 'Never counted' }, PAIR);
  registry.counter({ name: 'bare', help: 'Without labels' });
  registry.gauge({ name: 'open', help: 'Open now' }, PAIR).of('x', null).add(-2);
  calls.of('1', '2').add(3);
  calls.of('1', 'spiffe://td/ns/n/sa/s').add(2 ** 40);
  assert.equal(
    expose(registry),
    `# HELP calls Calls.
# TYPE calls counter
calls_total{a="1",b="2"} 3
calls_total{a="1",b="spiffe://td/ns/n/sa/s"} 1099511627776
# HELP bare Without labels.
# TYPE bare counter
bare_total 0
# HELP open Open now.
# TYPE open gauge
open{a="x"} -2
# EOF
`,
  );
});

test('a unit ends the name and has its line; a histogram gives sum, count and cumulative buckets with le first', () => {
  const registry = new MetricRegistry();
  registry
    .counter({ name: 'message', unit: 'bytes', help: 'Size' }, new LabelSchema(['url']))
    .of('u')
    .add(7);
  const duration = registry.histogram({ name: 'took', unit: 'seconds', help: 'Time' }, PAIR, [0.0005, 1, 5]);
  for (const seconds of [0.0005, 0.25, 1.5, 9]) duration.of('x', 'y').observe(seconds);
  assert.equal(
    expose(registry),
    `# HELP message_bytes Size.
# TYPE message_bytes counter
# UNIT message_bytes bytes
message_bytes_total{url="u"} 7
# HELP took_seconds Time.
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_sum{a="x",b="y"} 10.7505
took_seconds_count{a="x",b="y"} 4
took_seconds_bucket{le="0.0005",a="x",b="y"} 1
took_seconds_bucket{le="1.0",a="x",b="y"} 2
took_seconds_bucket{le="5.0",a="x",b="y"} 3
took_seconds_bucket{le="+Inf",a="x",b="y"} 4
# EOF
`,
  );
});

test('a collected metric is read when asked for, keeps its help as it is, and is left out when there is no number', () => {
  const registry = new MetricRegistry();
  let value: number | null = 4;
  registry.collected({
    name: 'process_open_fds',
    help: 'Number of open file descriptors',
    type: 'gauge',
    read: () => value,
  });
  assert.equal(
    expose(registry),
    '# HELP process_open_fds Number of open file descriptors\n# TYPE process_open_fds gauge\nprocess_open_fds 4\n# EOF\n',
  );
  value = null;
  assert.equal(expose(registry), '# EOF\n');
});

test('the series of the same labels is the same object, whoever asks for it', () => {
  const registry = new MetricRegistry();
  const calls = registry.counter({ name: 'calls', help: 'Calls' }, PAIR);
  assert.equal(calls.of('1', '2'), calls.of('1', '2'));
  assert.equal(calls.of('1', '2'), calls.at(registry.labels(PAIR, ['1', '2'])));
  assert.notEqual(calls.of('1', '2'), calls.of('2', '1'));
  assert.notEqual(calls.of('1', null), calls.of('1', ''));
});

test('label sets are bounded: what is too much is counted under overflow, so that sums stay true, and told', () => {
  // One is taken by the metric that tells.
  const registry = new MetricRegistry({ labelSetsMax: 3 });
  const calls = registry.counter({ name: 'calls', help: 'Calls' }, PAIR);
  for (let i = 0; i < 10; i++) calls.of(`${i}`, 'x').add(1);
  calls.of('0', 'x').add(1);
  assert.equal(
    formatExposition(registry),
    `# HELP ambit_metric_label_sets_refused The total number of times that a label set was one too many and was counted as overflow.
# TYPE ambit_metric_label_sets_refused counter
ambit_metric_label_sets_refused_total 8
# HELP calls Calls.
# TYPE calls counter
calls_total{a="0",b="x"} 2
calls_total{a="1",b="x"} 1
calls_total{a="overflow",b="overflow"} 8
# EOF
`,
  );
});

test('a metric is registered once', () => {
  const registry = new MetricRegistry();
  registry.counter({ name: 'calls', help: 'Calls' });
  assert.throws(() => registry.gauge({ name: 'calls', help: 'Again' }), /registered once/);
});

test('whatever is in a label, its sample is one line from which it can be read back', () => {
  fc.assert(
    fc.property(hostileText, hostileText, (a, b) => {
      const registry = new MetricRegistry();
      registry.counter({ name: 'calls', help: 'Calls' }, PAIR).of(a, b).add(1);
      const lines = expose(registry).split('\n');
      assert.equal(lines.length, 5);
      const match = /^calls_total\{a="((?:[^"\\]|\\.)*)",b="((?:[^"\\]|\\.)*)"\} 1$/s.exec(lines[2]!);
      const read = (text: string): string => text.replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
      assert.deepEqual(match?.slice(1).map(read), [a, b]);
    }),
  );
});

test('the content type is OpenMetrics only where the Accept header lists it', () => {
  const open = 'application/openmetrics-text;charset=utf-8;version=1.0.0';
  const table: [string, string][] = [
    ['', 'text/plain; charset=utf-8'],
    ['*/*', 'text/plain; charset=utf-8'],
    ['text/plain;q=0.9, application/json', 'text/plain; charset=utf-8'],
    ['application/openmetrics-text', open],
    ['text/plain, Application/OpenMetrics-Text;version=1.0.0;q=0.5', open],
  ];
  for (const [accept, expected] of table) assert.equal(expositionContentType(accept), expected);
});
