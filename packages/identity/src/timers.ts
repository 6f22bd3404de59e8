/** Timers as an argument: an engine's `after`, a timer wheel's `schedule`, or Node's own in a main. */
export interface Cancellable {
  cancel(): void;
}

export type After = (delayMs: number, callback: () => void) => Cancellable;
