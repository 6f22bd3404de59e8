import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { formatExposition } from './exposition.ts';
import { LabelSchema } from './metric-labels.ts';
import { MetricRegistry } from './metrics.ts';
import { DeltaReader, DeltaWriter, type MetricsDelta } from './metrics-delta.ts';

const PAIR = new LabelSchema(['a', 'b']);
const ONE = new LabelSchema(['reporter']);

function makeProcess(labelSetsMax = 1000) {
  const registry = new MetricRegistry({ labelSetsMax });
  return {
    registry,
    calls: registry.counter({ name: 'calls', help: 'Calls' }, PAIR),
    open: registry.gauge({ name: 'open', help: 'Open' }, ONE),
    took: registry.histogram({ name: 'took', help: 'Time' }, PAIR, [1, 2]),
    bare: registry.counter({ name: 'bare', help: 'Bare' }),
  };
}

/** Through JSON, as over a channel. */
function carry(delta: MetricsDelta | null): MetricsDelta {
  assert.notEqual(delta, null);
  return JSON.parse(JSON.stringify(delta));
}

test('what children counted adds up in the parent, and each amount is sent once', () => {
  const parent = makeProcess();
  const children = [makeProcess(), makeProcess()];
  const writers = children.map(({ registry }) => new DeltaWriter(registry));
  const readers = children.map(() => new DeltaReader(parent.registry));
  for (let round = 0; round < 3; round++) {
    for (const [i, child] of children.entries()) {
      child.calls.of('x', null).add(i + 1);
      child.open.of('source').add(1);
      child.took.of('x', 'y').observe(1.5);
      child.bare.of().add(1);
      readers[i]!.merge(carry(writers[i]!.snapshot()));
      assert.equal(writers[i]!.snapshot(), null);
    }
  }
  assert.equal(parent.calls.of('x', null).value, 9);
  assert.equal(parent.open.of('source').value, 6);
  assert.deepEqual([parent.took.of('x', 'y').counts, parent.took.of('x', 'y').sum], [[0, 6, 0], 9]);
  assert.equal(parent.bare.of().value, 6);
});

test('a label set is spelled out once', () => {
  const { registry, calls, took } = makeProcess();
  const writer = new DeltaWriter(registry);
  calls.of('x', 'y').add(1);
  took.of('x', 'y').observe(1);
  assert.deepEqual(writer.snapshot(), {
    labels: [[0, ['x', 'y']]],
    samples: [
      ['calls', 0, [1]],
      ['took', 0, [1, 1, 0, 0]],
    ],
  });
  calls.of('x', 'y').add(4);
  assert.deepEqual(writer.snapshot(), { labels: [], samples: [['calls', 0, [4]]] });
});

test('a delta is bounded, and no series waits for ever behind busy ones', () => {
  const child = makeProcess();
  const parent = makeProcess();
  const writer = new DeltaWriter(child.registry, 7);
  const reader = new DeltaReader(parent.registry);
  for (let i = 0; i < 20; i++) child.calls.of(`${i}`, '').add(1);
  for (let round = 0; round < 3; round++) {
    // The first ones change all the time.
    for (let i = 0; i < 7; i++) child.calls.of(`${i}`, '').add(1);
    const delta = carry(writer.snapshot());
    assert.equal(delta.samples.length, 7);
    reader.merge(delta);
  }
  assert.equal(parent.calls.of('19', '').value, 1);
});

test('the gauges of a child that is gone go with it, its counters stay', () => {
  const parent = makeProcess();
  const gone = makeProcess();
  const alive = makeProcess();
  const goneReader = new DeltaReader(parent.registry);
  for (const { calls, open } of [gone, alive]) {
    calls.of('x', 'y').add(5);
    open.of('source').add(3);
  }
  const goneWriter = new DeltaWriter(gone.registry);
  goneReader.merge(carry(goneWriter.snapshot()));
  gone.open.of('source').add(-1);
  goneReader.merge(carry(goneWriter.snapshot()));
  new DeltaReader(parent.registry).merge(carry(new DeltaWriter(alive.registry).snapshot()));
  goneReader.close();
  goneReader.close();
  assert.equal(parent.open.of('source').value, 3);
  assert.equal(parent.calls.of('x', 'y').value, 10);
});

test('what overflowed in a child and in the parent is one series', () => {
  const child = makeProcess(4);
  const parent = makeProcess(4);
  const reader = new DeltaReader(parent.registry);
  const writer = new DeltaWriter(child.registry);
  for (let i = 0; i < 9; i++) {
    child.calls.of('child', `${i}`).add(1);
    parent.calls.of('parent', `${i}`).add(1);
  }
  reader.merge(carry(writer.snapshot()));
  const samples = formatExposition(parent.registry).match(/^calls_total.*$/gm)!;
  assert.equal(new Set(samples.map((line) => line.split(' ')[0])).size, samples.length);
  const total = samples.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
  assert.equal(total, 18);
});

test('a delta that does not fit throws and leaves its series alone', () => {
  const { registry, calls } = makeProcess();
  const reader = new DeltaReader(registry);
  const labels: MetricsDelta['labels'] = [[0, ['x', 'y']]];
  assert.throws(() => reader.merge({ labels: [], samples: [['unheard', 0, [1]]] }), /unheard/);
  assert.throws(() => reader.merge({ labels: [], samples: [['calls', 5, [1]]] }), /spelled out/);
  assert.throws(() => reader.merge({ labels, samples: [['calls', 0, [Number.NaN]]] }), /numbers/);
  assert.throws(() => reader.merge({ labels: [[1, ['x']]], samples: [['calls', 1, [1]]] }), /value for each label/);
  assert.equal(calls.series.size, 0);
});

test('however counting and sending alternate, the parent ends with what was counted', () => {
  const action = fc.oneof(
    fc.record({ is: fc.constant('count' as const), label: fc.integer({ min: 0, max: 12 }), amount: fc.nat(1000) }),
    fc.constant({ is: 'send' as const }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (actions, samplesMax) => {
      const child = makeProcess();
      const parent = makeProcess();
      const writer = new DeltaWriter(child.registry, samplesMax);
      const reader = new DeltaReader(parent.registry);
      for (const step of actions) {
        if (step.is === 'count') child.calls.of(`${step.label}`, null).add(step.amount);
        else {
          const delta = writer.snapshot();
          if (delta !== null) reader.merge(carry(delta));
        }
      }
      for (let delta = writer.snapshot(); delta !== null; delta = writer.snapshot()) reader.merge(carry(delta));
      for (const [labels, { value }] of child.calls.series) {
        assert.equal(parent.calls.of(...labels.values).value, value);
      }
    }),
  );
});
