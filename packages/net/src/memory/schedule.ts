/**
 * The simulated clock: events by due time, equal times in order of creation. Nothing happens between two events, so a
 * run is decided by the seed and by what the callbacks do.
 */
import { assert } from '@ambit/base/assert';

export interface ScheduledEvent {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | null;
}

export class Schedule {
  nowMs = 0;
  readonly #heap: ScheduledEvent[] = [];
  #created = 0;

  after(delayMs: number, run: () => void): ScheduledEvent {
    assert(delayMs >= 0, 'nothing is scheduled in the past');
    const event: ScheduledEvent = { dueMs: this.nowMs + delayMs, order: this.#created++, run };
    this.#siftUp(event);
    return event;
  }

  /** A cancelled event stays in the heap until it is due, without effect. */
  cancel(event: ScheduledEvent): void {
    event.run = null;
  }

  /** Null when nothing will happen any more. */
  nextDueMs(): number | null {
    while (this.#heap[0] !== undefined && this.#heap[0].run === null) this.#pop();
    return this.#heap[0]?.dueMs ?? null;
  }

  runNext(): boolean {
    if (this.nextDueMs() === null) return false;
    const event = this.#pop();
    const run = event.run;
    event.run = null;
    this.nowMs = event.dueMs;
    run?.();
    return true;
  }

  #siftUp(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): ScheduledEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
