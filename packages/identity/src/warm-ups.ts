/** Identities that will be needed soon, in order, each once, up to a bound (ztunnel facts 5.5: a queue of 256). */
import { Ring } from '@ambit/base/ring';
import { WARM_UPS_QUEUED_MAX } from './limits.ts';

export class WarmUps {
  readonly #order = new Ring<string>(WARM_UPS_QUEUED_MAX);
  /** What of the ring still counts. */
  readonly #wanted = new Set<string>();

  /** False when there is no room. */
  push(identity: string): boolean {
    if (this.#wanted.has(identity)) return true;
    if (!this.#order.push(identity)) return false;
    this.#wanted.add(identity);
    return true;
  }

  delete(identity: string): void {
    this.#wanted.delete(identity);
  }

  shift(): string | undefined {
    for (;;) {
      const identity = this.#order.shift();
      if (identity === undefined || this.#wanted.delete(identity)) return identity;
    }
  }

  clear(): void {
    this.#order.clear();
    this.#wanted.clear();
  }
}
