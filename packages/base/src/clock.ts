/**
 * Time as an argument: whatever waits or stamps gets a `Clock`, so that a test or the simulator can turn the hands.
 * Nothing outside of this file, `net` and the `main.ts` files reads the process's time.
 */
import { assert } from './assert.ts';

export interface Clock {
  /** Milliseconds, possibly with a fraction. Whether they are monotonic is said by the clock. */
  nowMs(): number;
}

/** Never goes back and knows no date: for deadlines, timers, durations. */
export const monotonicClock: Clock = { nowMs: () => performance.now() };

/** Milliseconds since 1970; jumps when somebody sets the machine's time: for logs and certificates only. */
export const wallClock: Clock = { nowMs: () => Date.now() };

/** Stands still until told. */
export class ManualClock implements Clock {
  #nowMs: number;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  advance(byMs: number): void {
    assert(byMs >= 0, 'a manual clock only goes forward');
    this.#nowMs += byMs;
  }
}
