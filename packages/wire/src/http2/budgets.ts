/**
 * What a peer may cost without moving anything (RFC 9113 section 10.5; CVE-2019-9511 and following, CVE-2023-44487
 * rapid reset, CVE-2025-8671 MadeYouReset). Each method says whether the budget is exceeded.
 *
 * Frames without progress are paid for by progress: headers and data earn credit, and only what no credit pays for
 * counts against the budget. So a WINDOW_UPDATE per read of a bulk transfer is free, and so are a prober's PINGs beside it.
 */
import { PROGRESS_BYTES_PER_CREDIT, PROGRESS_CREDIT_MAX } from './limits.ts';
import type { Http2Options } from './types.ts';

export class Budgets {
  readonly #nowMs: () => number;
  readonly #resets: RateBudget;
  readonly #idleFrames: RateBudget;
  readonly #answersMax: number;
  #answers = 0;
  #credit = 0;

  constructor(options: Http2Options) {
    this.#nowMs = options.nowMs;
    this.#resets = new RateBudget(options.resetsPer10sMax);
    this.#idleFrames = new RateBudget(options.idleFramesPer10sMax);
    this.#answersMax = options.answersQueuedMax;
  }

  /** A message was started. */
  earnMessage(): void {
    this.#earn(4);
  }

  /** A DATA frame was sent: the peer owes WINDOW_UPDATEs for it, for the stream and for the connection. */
  earnSent(bytes: number): void {
    this.#earn(2 + 2 * Math.ceil(bytes / PROGRESS_BYTES_PER_CREDIT));
  }

  earnReceived(bytes: number): void {
    this.#earn(Math.floor(bytes / PROGRESS_BYTES_PER_CREDIT));
  }

  spendIdleFrame(): boolean {
    if (this.#credit > 0) {
      this.#credit--;
      return false;
    }
    return this.#idleFrames.spend(this.#nowMs());
  }

  spendReset(): boolean {
    return this.#resets.spend(this.#nowMs());
  }

  /** An answer is written though the transport may have no room for it. */
  spendAnswer(hasRoom: boolean): boolean {
    this.#answers = hasRoom ? 0 : this.#answers + 1;
    return this.#answers > this.#answersMax;
  }

  answersTaken(): void {
    this.#answers = 0;
  }

  #earn(credit: number): void {
    this.#credit = Math.min(this.#credit + credit, PROGRESS_CREDIT_MAX);
  }
}

const WINDOW_SECONDS = 10;

/** At most `max` in any ten seconds, in steps of one: eleven counters, since the first second is only partly inside. */
export class RateBudget {
  readonly #max: number;
  #counts: number[] | null = null;
  #second = 0;
  #sum = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** True when this one is too many. */
  spend(nowMs: number): boolean {
    this.#counts ??= new Array<number>(WINDOW_SECONDS + 1).fill(0);
    const counts = this.#counts;
    const second = Math.floor(nowMs / 1000);
    const passed = Math.min(Math.max(second - this.#second, 0), counts.length);
    for (let i = 1; i <= passed; i++) {
      const slot = (this.#second + i) % counts.length;
      this.#sum -= counts[slot] as number;
      counts[slot] = 0;
    }
    if (passed > 0) this.#second = second;
    const slot = this.#second % counts.length;
    counts[slot] = (counts[slot] as number) + 1;
    this.#sum++;
    return this.#sum > this.#max;
  }
}
