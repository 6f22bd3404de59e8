/** One number, or one histogram, with one set of labels. Numbers are exact up to 2^53: 9 petabytes on one series. */

/** `takeDelta` gives what was added since it last did so, null for nothing; `addDelta` adds that elsewhere. */
export interface Series {
  takeDelta(): number[] | null;
  addDelta(amounts: readonly number[]): void;
}

export class Counter implements Series {
  value = 0;
  #taken = 0;

  add(amount: number): void {
    this.value += amount;
  }

  takeDelta(): number[] | null {
    const delta = this.value - this.#taken;
    this.#taken = this.value;
    return delta === 0 ? null : [delta];
  }

  addDelta(amounts: readonly number[]): void {
    this.value += amounts[0]!;
  }
}

/** Goes up and down. Those of several processes are added up. */
export class Gauge extends Counter {
  set(value: number): void {
    this.value = value;
  }
}

export class Histogram implements Series {
  readonly bounds: readonly number[];
  /** Not cumulative; the last one counts what is above every bound. */
  readonly counts: number[];
  sum = 0;
  #taken: number[];

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
    this.#taken = [0, ...this.counts];
  }

  observe(value: number): void {
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i += 1;
    this.counts[i]! += 1;
    this.sum += value;
  }

  /** Sum first, then the counts. */
  takeDelta(): number[] | null {
    const now = [this.sum, ...this.counts];
    const delta = now.map((amount, i) => amount - this.#taken[i]!);
    this.#taken = now;
    return delta.every((amount) => amount === 0) ? null : delta;
  }

  addDelta([sum = 0, ...counts]: readonly number[]): void {
    this.sum += sum;
    for (let i = 0; i < this.counts.length; i++) this.counts[i]! += counts[i] ?? 0;
  }
}
