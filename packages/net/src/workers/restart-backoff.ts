/** When a dead child's successor starts: at once, but a crash loop must not eat the machine. Time is an argument. */
import { BACKOFF_MAX_MS, BACKOFF_STEP_MS, DEATHS_MAX, DEATHS_WINDOW_MS } from './limits.ts';

export class RestartBackoff {
  #deathsMs: number[] = [];
  #delayMs = 0;

  /** A child died; the milliseconds until its successor may start. */
  death(nowMs: number): number {
    this.#deathsMs = this.#deathsMs.filter((deathMs) => nowMs - deathMs < DEATHS_WINDOW_MS);
    // Only a whole window without a death says that the loop is over: waiting alone makes deaths rare.
    if (this.#deathsMs.length === 0) this.#delayMs = 0;
    this.#deathsMs.push(nowMs);
    if (this.#deathsMs.length > DEATHS_MAX) this.#delayMs = Math.min(BACKOFF_MAX_MS, this.#delayMs + BACKOFF_STEP_MS);
    return this.#delayMs;
  }
}
