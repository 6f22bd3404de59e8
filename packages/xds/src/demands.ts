/** Who waits for an address that was asked for by name, each for a while only. */
import type { AmbitError } from '@ambit/base/errors';
import { xdsError } from './errors.ts';
import { DEMAND_TIMEOUT_MS, DEMANDS_PENDING_MAX } from './limits.ts';

export interface Cancellable {
  cancel(): void;
}

/** Timers as an argument: an engine's `after`, a timer wheel's `schedule`, or Node's own in a main. */
export type After = (delayMs: number, callback: () => void) => Cancellable;

interface Demand extends PromiseWithResolvers<void> {
  readonly timer: Cancellable;
}

export class Demands {
  readonly #pending = new Map<string, Demand>();
  readonly #after: After;

  constructor(after: After) {
    this.#after = after;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** The promise of whoever asked first for this name and waits still, or undefined. */
  waiting(name: string): Promise<void> | undefined {
    return this.#pending.get(name)?.promise;
  }

  /** Throws `XDS_DEMANDS_TOO_MANY`; the promise rejects with `XDS_DEMAND_TIMEOUT`. */
  add(name: string): Promise<void> {
    if (this.#pending.size >= DEMANDS_PENDING_MAX) {
      throw xdsError('XDS_DEMANDS_TOO_MANY', `${DEMANDS_PENDING_MAX} names are asked for already`);
    }
    const resolvers = Promise.withResolvers<void>();
    const timer = this.#after(DEMAND_TIMEOUT_MS, () => {
      this.#pending.delete(name);
      resolvers.reject(xdsError('XDS_DEMAND_TIMEOUT', `no answer about ${name} in ${DEMAND_TIMEOUT_MS} ms`));
    });
    this.#pending.set(name, { ...resolvers, timer });
    return resolvers.promise;
  }

  answered(names: readonly string[]): void {
    for (const name of names) {
      const demand = this.#pending.get(name);
      if (demand === undefined) continue;
      this.#pending.delete(name);
      demand.timer.cancel();
      demand.resolve();
    }
  }

  rejectAll(error: AmbitError): void {
    for (const { timer, reject } of this.#pending.values()) {
      timer.cancel();
      reject(error);
    }
    this.#pending.clear();
  }
}
