/** Visits one key after the other for ever, each once in a period as far as that can be, and never two at once. */
import type { EngineTimer } from '@ambit/net/engine';

export interface RoundRobinOptions {
  after(delayMs: number, callback: () => void): EngineTimer;
  readonly keys: () => readonly string[];
  /** Never rejects. */
  readonly visit: (key: string) => Promise<void>;
  readonly periodMs: number;
  /** Between two visits at least. */
  readonly stepMinMs: number;
}

export class RoundRobin {
  readonly #options: RoundRobinOptions;
  #left: string[] = [];
  #timer: EngineTimer | null = null;
  #stopped = false;

  constructor(options: RoundRobinOptions) {
    this.#options = options;
    this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    if (this.#stopped) return;
    const { after, keys, periodMs, stepMinMs } = this.#options;
    this.#timer = after(Math.max(stepMinMs, periodMs / Math.max(1, keys().length)), () => void this.#step());
  }

  async #step(): Promise<void> {
    if (this.#left.length === 0) this.#left = [...this.#options.keys()].reverse();
    const key = this.#left.pop();
    if (key !== undefined) await this.#options.visit(key);
    this.#wait();
  }
}
