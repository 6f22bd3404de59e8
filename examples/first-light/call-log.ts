/** What the proxies reported, to be waited for: a report comes a moment after the call that it is about. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallReport } from './messages.ts';

const WAIT_MS = 2000;
const POLL_MS = 5;
/** Reports that nobody asked for. */
const KEPT_MAX = 1000;

export class CallLog {
  /** Hears of every report. */
  onReport = (_report: CallReport): void => {};
  readonly #reports: CallReport[] = [];

  readonly push = (report: CallReport): void => {
    this.#reports.push(report);
    if (this.#reports.length > KEPT_MAX) this.#reports.shift();
    this.onReport(report);
  };

  /** The oldest report of this side that was not taken yet; null when none comes. */
  async next(side: CallReport['side']): Promise<CallReport | null> {
    for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += POLL_MS) {
      const index = this.#reports.findIndex((report) => report.side === side);
      if (index >= 0) return this.#reports.splice(index, 1)[0] ?? null;
      await sleep(POLL_MS);
    }
    return null;
  }
}
