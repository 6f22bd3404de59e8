/** How long until the next attempt to connect: doubling, with chance, from the start again once a connection was of use. */
import type { Rng } from '@ambit/base/rng';
import { RECONNECT_JITTER, type ZdsClientLimits } from './limits.ts';

export class ReconnectWait {
  readonly #limits: Pick<ZdsClientLimits, 'reconnectMinMs' | 'reconnectMaxMs'>;
  readonly #rng: Rng;
  #nextMs: number;

  constructor(limits: Pick<ZdsClientLimits, 'reconnectMinMs' | 'reconnectMaxMs'>, rng: Rng) {
    this.#limits = limits;
    this.#rng = rng;
    this.#nextMs = limits.reconnectMinMs;
  }

  takeMs(): number {
    const waitMs = this.#nextMs * (1 + RECONNECT_JITTER * (2 * this.#rng.next() - 1));
    this.#nextMs = Math.min(this.#limits.reconnectMaxMs, this.#nextMs * 2);
    return waitMs;
  }

  reset(): void {
    this.#nextMs = this.#limits.reconnectMinMs;
  }
}
