/**
 * Counters, gauges and histograms. Our own and no library, because Istio's exposition (exposition.ts; ztunnel section 8.1)
 * is not what prom-client can write: counters typed without and sampled with `_total`, UNIT lines and `# EOF` also in
 * `text/plain`, labels that only some series have; and because children count and their parent serves (metrics-delta.ts).
 *
 * On the hot path a series is a field of whoever counts, and counting is one addition.
 */
import { assert } from '@ambit/base/assert';
import { LABEL_SETS_MAX } from './limits.ts';
import { type LabelNames, type LabelSchema, LabelSet, type LabelValues, NO_LABELS } from './metric-labels.ts';
import { Counter, Gauge, Histogram, type Series } from './metric-series.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricSpec {
  /** Without unit and without `_total`. */
  readonly name: string;
  /** Without its full stop. */
  readonly help: string;
  /** Becomes the end of the name. */
  readonly unit?: string;
}

/** A number that is somewhere else already, and read when it is asked for. */
export interface CollectedMetric {
  readonly name: string;
  /** Shown as it is. */
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  /** Null: not to be had at present. */
  readonly read: () => number | null;
}

export interface RegistryOptions {
  readonly labelSetsMax?: number;
}

export class MetricRegistry {
  readonly #families = new Map<string, AnyFamily>();
  readonly #collected: CollectedMetric[] = [];
  readonly #labels = new Map<string, LabelSet>();
  readonly #labelSetsMax: number;
  readonly #refused: Counter;

  constructor({ labelSetsMax = LABEL_SETS_MAX }: RegistryOptions = {}) {
    this.#labelSetsMax = labelSetsMax;
    const help = 'The total number of times that a label set was one too many and was counted as overflow';
    this.#refused = this.counter({ name: 'ambit_metric_label_sets_refused', help }).of();
  }

  counter(spec: MetricSpec): Family<Counter, readonly []>;
  counter<N extends LabelNames>(spec: MetricSpec, schema: LabelSchema<N>): Family<Counter, N>;
  counter(spec: MetricSpec, schema: LabelSchema = NO_LABELS): AnyFamily {
    return this.#add(new Family(this, 'counter', spec, schema, () => new Counter()));
  }

  gauge(spec: MetricSpec): Family<Gauge, readonly []>;
  gauge<N extends LabelNames>(spec: MetricSpec, schema: LabelSchema<N>): Family<Gauge, N>;
  gauge(spec: MetricSpec, schema: LabelSchema = NO_LABELS): AnyFamily {
    return this.#add(new Family(this, 'gauge', spec, schema, () => new Gauge()));
  }

  /** `bounds` are upper ends, rising; what is above the last one is counted too. */
  histogram<N extends LabelNames>(
    spec: MetricSpec,
    schema: LabelSchema<N>,
    bounds: readonly number[],
  ): Family<Histogram, N> {
    return this.#add(new Family(this, 'histogram', spec, schema, () => new Histogram(bounds)));
  }

  collected(metric: CollectedMetric): void {
    this.#collected.push(metric);
  }

  /** The same object for the same labels; when there are too many, one whose labels all say `overflow`. */
  labels<N extends LabelNames>(schema: LabelSchema<N>, values: LabelValues<N>): LabelSet<N> {
    const text = schema.format(values);
    // The text carries the names, so that it stands for the schema too.
    const known = this.#labels.get(text);
    if (known !== undefined) return known as LabelSet<N>;
    if (this.#labels.size < this.#labelSetsMax) return this.#addLabels(schema, values, text);
    this.#refused.add(1);
    const overflow = schema.names.map(() => 'overflow') as LabelValues<N>;
    const overflowText = schema.format(overflow);
    return (this.#labels.get(overflowText) as LabelSet<N>) ?? this.#addLabels(schema, overflow, overflowText);
  }

  family(name: string): AnyFamily | undefined {
    return this.#families.get(name);
  }

  /** In the order in which they were made. */
  families(): Iterable<AnyFamily> {
    return this.#families.values();
  }

  collectedMetrics(): readonly CollectedMetric[] {
    return this.#collected;
  }

  #addLabels<N extends LabelNames>(schema: LabelSchema<N>, values: LabelValues<N>, text: string): LabelSet<N> {
    const labels = new LabelSet(schema, values, text);
    this.#labels.set(text, labels);
    return labels;
  }

  #add<F extends AnyFamily>(family: F): F {
    assert(!this.#families.has(family.name), `metric ${family.name} is registered once`);
    this.#families.set(family.name, family);
    return family;
  }
}

/** One metric: its series by labels. There are as many of them as label sets, which the registry bounds. */
export class Family<S extends Series = Series, N extends LabelNames = LabelNames> {
  /** With its unit, without `_total`. */
  readonly name: string;
  readonly help: string;
  readonly unit: string | null;
  readonly type: MetricType;
  readonly schema: LabelSchema<N>;
  readonly series = new Map<LabelSet<N>, S>();
  readonly #registry: MetricRegistry;
  readonly #make: () => S;

  constructor(registry: MetricRegistry, type: MetricType, spec: MetricSpec, schema: LabelSchema<N>, make: () => S) {
    this.name = spec.unit === undefined ? spec.name : `${spec.name}_${spec.unit}`;
    this.help = spec.help;
    this.unit = spec.unit ?? null;
    this.type = type;
    this.schema = schema;
    this.#registry = registry;
    this.#make = make;
    // One without labels is there before anything was counted, others are not (as Istio's ztunnel).
    if (schema.names.length === 0) this.of(...([] as unknown as LabelValues<N>));
  }

  /** The series of these labels, to be kept by whoever counts. */
  of(...values: LabelValues<N>): S {
    return this.at(this.#registry.labels(this.schema, values));
  }

  at(labels: LabelSet<N>): S {
    const known = this.series.get(labels);
    if (known !== undefined) return known;
    const series = this.#make();
    this.series.set(labels, series);
    return series;
  }
}

/** Where only names and numbers matter. */
export type AnyFamily = Family<Series, LabelNames>;
