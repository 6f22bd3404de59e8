/**
 * Connections that wait for something the control plane has not sent yet, for a while. When the time is up, or when too
 * many wait, they go on without it and fail as if it did not exist.
 */

/** What an engine offers, and what Node's timers can. */
export interface Timers {
  after(delayMs: number, callback: () => void): Cancellable;
}

export interface Cancellable {
  /** After this there is no call. Idempotent. */
  cancel(): void;
}

const NOTHING_TO_CANCEL: Cancellable = Object.freeze({ cancel: () => {} });

export class WaitList {
  readonly #waiters = new Set<Waiter>();
  readonly #waitersMax: number;

  constructor(waitersMax: number) {
    this.#waitersMax = waitersMax;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** `done` is called once, before this returns if there is nothing to wait for; it looks for itself at what is there. */
  wait(isOver: () => boolean, timeoutMs: number, timers: Timers, done: () => void): Cancellable {
    if (isOver() || this.#waiters.size >= this.#waitersMax) {
      done();
      return NOTHING_TO_CANCEL;
    }
    const waiter = new Waiter(this.#waiters, isOver, timers, done);
    waiter.endAfter(timeoutMs);
    return waiter;
  }

  /** Something has come. Who waited for it goes on in a turn of its own: a fault there is not the update's. */
  wake(): void {
    for (const waiter of this.#waiters) if (waiter.isOver()) waiter.endAfter(0);
  }
}

class Waiter implements Cancellable {
  readonly isOver: () => boolean;
  readonly #waiters: Set<Waiter>;
  readonly #timers: Timers;
  readonly #done: () => void;
  #timer: Cancellable = NOTHING_TO_CANCEL;

  constructor(waiters: Set<Waiter>, isOver: () => boolean, timers: Timers, done: () => void) {
    this.#waiters = waiters;
    this.isOver = isOver;
    this.#timers = timers;
    this.#done = done;
    waiters.add(this);
  }

  endAfter(delayMs: number): void {
    this.#timer.cancel();
    this.#timer = this.#timers.after(delayMs, () => {
      this.#waiters.delete(this);
      this.#done();
    });
  }

  cancel(): void {
    this.#waiters.delete(this);
    this.#timer.cancel();
  }
}
