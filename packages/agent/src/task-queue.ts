/** Tasks of one key follow one another, those of different keys overlap, and no more than some run at a time. */
import { assert } from '@ambit/base/assert';

export class TaskQueue {
  readonly #atOnce: number;
  readonly #lastOf = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(atOnce: number) {
    assert(atOnce > 0, 'some task must be able to run');
    this.#atOnce = atOnce;
  }

  /** Settles as the task does. One that fails does not keep those behind it from running. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#lastOf.get(key) ?? Promise.resolve();
    const result = before.then(() => this.#inTurn(task));
    const last = result.then(nothing, nothing).then(() => {
      if (this.#lastOf.get(key) === last) this.#lastOf.delete(key);
    });
    this.#lastOf.set(key, last);
    return result;
  }

  /** Settles when there is nothing left to run. */
  async idle(): Promise<void> {
    while (this.#lastOf.size > 0) await Promise.all(this.#lastOf.values());
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await task();
    } finally {
      // The place goes to whoever waits longest, without being free in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

function nothing(): void {}
