/**
 * How the counts of a child reach the parent that serves them: plain arrays over their channel, only what changed, so
 * many at a time. Label sets are spelled out once and then named by number, so writer and reader live as long as the
 * channel. What a child counted since its last delta is lost when it crashes; its gauges go with it.
 */
import { assert } from '@ambit/base/assert';
import { DELTA_SAMPLES_MAX } from './limits.ts';
import type { LabelSet, LabelValues } from './metric-labels.ts';
import { Gauge, type Series } from './metric-series.ts';
import type { AnyFamily, MetricRegistry } from './metrics.ts';

/** As JSON can carry it. */
export interface MetricsDelta {
  /** Label sets that are named from now on. */
  readonly labels: readonly (readonly [id: number, values: LabelValues])[];
  /** Family, number of the label set, amounts. */
  readonly samples: readonly (readonly [name: string, id: number, amounts: readonly number[]])[];
}

export class DeltaWriter {
  readonly #registry: MetricRegistry;
  readonly #samplesMax: number;
  readonly #ids = new Map<LabelSet, number>();
  #round: Iterator<readonly [AnyFamily, LabelSet, Series]>;

  constructor(registry: MetricRegistry, samplesMax = DELTA_SAMPLES_MAX) {
    this.#registry = registry;
    this.#samplesMax = samplesMax;
    this.#round = everySeries(registry);
  }

  /** Null: nothing changed. One that is full may have left something out, which the next one begins with. */
  snapshot(): MetricsDelta | null {
    const labels: [number, LabelValues][] = [];
    const samples: [string, number, readonly number[]][] = [];
    let roundsBegun = 0;
    while (samples.length < this.#samplesMax) {
      const next = this.#round.next();
      if (next.done === true) {
        // The second end: everything was seen since the call began.
        if (roundsBegun === 1) break;
        roundsBegun += 1;
        this.#round = everySeries(this.#registry);
        continue;
      }
      const [family, labelSet, series] = next.value;
      const amounts = series.takeDelta();
      if (amounts === null) continue;
      let id = this.#ids.get(labelSet);
      if (id === undefined) {
        id = this.#ids.size;
        this.#ids.set(labelSet, id);
        labels.push([id, labelSet.values]);
      }
      samples.push([family.name, id, amounts]);
    }
    return samples.length === 0 ? null : { labels, samples };
  }
}

/** One for each child. */
export class DeltaReader {
  readonly #registry: MetricRegistry;
  readonly #values = new Map<number, LabelValues>();
  readonly #labels = new Map<number, LabelSet>();
  readonly #gauges = new Map<Gauge, number>();

  constructor(registry: MetricRegistry) {
    this.#registry = registry;
  }

  /** The child runs the same code: a delta that does not fit is a bug, and throws before it changed that series. */
  merge(delta: MetricsDelta): void {
    for (const [id, values] of delta.labels) this.#values.set(id, values);
    for (const [name, id, amounts] of delta.samples) {
      const family = this.#registry.family(name);
      assert(family !== undefined, `the parent knows the metric ${name} too`);
      assert(amounts.every(Number.isFinite), `the amounts of ${name} are numbers`);
      const series = family.at(this.#labelsOf(family, id));
      series.addDelta(amounts);
      if (series instanceof Gauge) this.#gauges.set(series, (this.#gauges.get(series) ?? 0) + amounts[0]!);
    }
  }

  /** The child is gone, and with it what its gauges stood for. */
  close(): void {
    for (const [gauge, amount] of this.#gauges) gauge.add(-amount);
    this.#gauges.clear();
  }

  #labelsOf(family: AnyFamily, id: number): LabelSet {
    const known = this.#labels.get(id);
    if (known !== undefined) return known;
    const values = this.#values.get(id);
    assert(values !== undefined, `label set ${id} of ${family.name} was spelled out`);
    const labels = this.#registry.labels(family.schema, values);
    this.#values.delete(id);
    this.#labels.set(id, labels);
    return labels;
  }
}

function* everySeries(registry: MetricRegistry): Generator<readonly [AnyFamily, LabelSet, Series]> {
  for (const family of registry.families()) {
    for (const [labels, series] of family.series) yield [family, labels, series];
  }
}
