/**
 * Lines that wait for a pipe. A child's standard output is a pipe to its parent and writing to it can block, so a child
 * logs into this bounded ring; when nobody drains it, lines are dropped and counted, and the count becomes a line.
 */
import { Ring } from './ring.ts';

export class LogRing {
  readonly #lines: Ring<string>;
  #droppedNow = 0;
  #droppedTotal = 0;

  /** How long a line may be is bounded by the format (log.ts). */
  constructor(linesMax: number) {
    this.#lines = new Ring(linesMax);
  }

  /** A `LogSink`. */
  readonly push = (line: string): void => {
    if (this.#lines.push(line)) return;
    this.#droppedNow += 1;
    this.#droppedTotal += 1;
  };

  get length(): number {
    return this.#lines.length;
  }

  /** Since the beginning; for a counter in the metrics. */
  get dropped(): number {
    return this.#droppedTotal;
  }

  /**
   * Hands out lines, oldest first, until `write` answers false, which takes its line but asks for no more now (as a
   * stream's `write` does). `lostLine` words the line that stands where some were dropped. True: everything is out.
   */
  drain(write: (line: string) => boolean, lostLine: (count: number) => string): boolean {
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
      if (!write(line)) return false;
    }
    // Only a full ring drops, and until it is empty again there is no telling where; so the gap is told at its end.
    if (this.#droppedNow > 0) {
      const count = this.#droppedNow;
      this.#droppedNow = 0;
      return write(lostLine(count));
    }
    return true;
  }
}
