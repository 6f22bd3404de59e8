/**
 * Timers of a reactor: ten levels of 32 slots, a slot of level n being 32^n milliseconds wide (Varghese and Lauck 1987,
 * scheme 7, placed by the highest digit in which deadline and present differ, as tokio does). Scheduling and cancelling
 * are O(1), an idle wheel costs nothing, a far timer is moved at most once per level on its way down.
 *
 * Resolution is one millisecond. A timer never fires early; it fires in the first `advance` at or after its deadline,
 * in the order of deadlines, and of scheduling where those are equal. A callback may schedule and cancel anything.
 */
import { assert } from './assert.ts';
import type { Clock } from './clock.ts';

export interface Timer {
  /** After this the callback does not run any more. Idempotent; nothing happens when it has run. */
  cancel(): void;
}

const SLOTS = 32;
/** 32^10 ms is 35,000 years, so that no deadline ever lies past the last level. */
const LEVELS = 10;
/** A thousand years; a longer delay is a mistake in units. */
export const DELAY_MAX_MS = 1000 * 366 * 86_400_000;
const SPANS = Array.from({ length: LEVELS + 1 }, (_, level) => SLOTS ** level);
/** Slot of a timer that is in no slot: due, firing, or done. */
const NO_SLOT = -1;
const NOTHING = (): void => {};

export class TimerWheel {
  readonly #clock: Clock;
  /** Ticks are whole milliseconds since here. */
  readonly #originMs: number;
  readonly #slots = new Slots();
  /** Scheduled for a tick that has passed already: for the next `advance`, so that a callback cannot loop in this one. */
  readonly #due = new Entry();
  /** Taken out of their slots; what a callback that threw left here fires in the next `advance`. */
  readonly #firing = new Entry();
  #tick = 0;

  /** The clock is asked at each `schedule`; `advance` and `nextExpiryMs` must get times of the same clock. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#originMs = Math.floor(clock.nowMs());
  }

  /** Timers that wait. */
  get size(): number {
    return this.#slots.size;
  }

  /** A negative delay counts as 0, which means the next `advance`, not this one. */
  schedule(delayMs: number, callback: () => void): Timer {
    assert(delayMs <= DELAY_MAX_MS, 'a delay is a number of milliseconds');
    const deadlineMs = this.#clock.nowMs() + Math.max(0, delayMs);
    const entry = new Entry();
    entry.deadline = Math.ceil(deadlineMs - this.#originMs);
    entry.callback = callback;
    entry.slots = this.#slots;
    this.#slots.size += 1;
    this.#place(entry, this.#due);
    return entry;
  }

  /** Fires what is due at `nowMs`. When a callback throws, the others fire in the next call. */
  advance(nowMs: number): void {
    const target = Math.floor(nowMs - this.#originMs);
    moveAll(this.#due, this.#firing);
    this.#fire();
    for (;;) {
      const level = this.#slots.lowestLevel();
      if (level === LEVELS) break;
      const start = this.#startOf(level);
      if (start > target) break;
      this.#tick = start;
      this.#open(level);
      this.#fire();
    }
    if (target > this.#tick) this.#tick = target;
  }

  /**
   * How long to wait before the next `advance`, in whole milliseconds, as epoll_wait wants it: 0 when something is due, -1
   * when nothing waits. Never later than the earliest timer; sooner when a far timer has to move down a level first.
   */
  nextExpiryMs(nowMs: number): number {
    if (this.#due.next !== this.#due || this.#firing.next !== this.#firing) return 0;
    const level = this.#slots.lowestLevel();
    if (level === LEVELS) return -1;
    return Math.max(0, Math.ceil(this.#startOf(level) + this.#originMs - nowMs));
  }

  /** The tick at which the first occupied slot of a level begins, in the present turn of that level. */
  #startOf(level: number): number {
    const turn = SPANS[level + 1] as number;
    return Math.floor(this.#tick / turn) * turn + this.#slots.first(level) * (SPANS[level] as number);
  }

  /** Into the lowest level whose turn the deadline shares with the present: its slot there is yet to come. */
  #place(entry: Entry, whenPassed: Entry): void {
    const deadline = entry.deadline;
    if (deadline <= this.#tick) {
      append(whenPassed, entry);
      return;
    }
    let level = 0;
    while (!this.#sharesTurn(deadline, SPANS[level + 1] as number)) level += 1;
    this.#slots.add(level, Math.floor(deadline / (SPANS[level] as number)) % SLOTS, entry);
  }

  #sharesTurn(deadline: number, turn: number): boolean {
    return Math.floor(deadline / turn) === Math.floor(this.#tick / turn);
  }

  /** The present has reached the beginning of a slot: its timers fire or move to lower levels. */
  #open(level: number): void {
    const head = this.#slots.head(level, this.#slots.first(level));
    while (head.next !== head) {
      const entry = head.next;
      this.#slots.remove(entry);
      this.#place(entry, this.#firing);
    }
  }

  #fire(): void {
    while (this.#firing.next !== this.#firing) {
      const { callback } = this.#firing.next;
      this.#firing.next.cancel();
      callback();
    }
  }
}

/** A timer in a circular list, or the head of one. */
class Entry implements Timer {
  prev: Entry = this;
  next: Entry = this;
  deadline = 0;
  callback: () => void = NOTHING;
  /** Of the wheel, while the timer waits. */
  slots: Slots | null = null;
  /** Where it is; `NO_SLOT` when due or firing. */
  index = NO_SLOT;

  cancel(): void {
    if (this.slots === null) return;
    this.slots.remove(this);
    this.slots.size -= 1;
    this.slots = null;
    // A kept `Timer` must not keep alive what the callback closes over.
    this.callback = NOTHING;
  }
}

class Slots {
  /** Timers that wait, in slots or due. */
  size = 0;
  readonly #heads = Array.from({ length: LEVELS * SLOTS }, () => new Entry());
  /** One bit for each slot that holds a timer, one word a level. */
  readonly #occupied = new Int32Array(LEVELS);

  head(level: number, slot: number): Entry {
    return this.#heads[level * SLOTS + slot] as Entry;
  }

  add(level: number, slot: number, entry: Entry): void {
    entry.index = level * SLOTS + slot;
    append(this.head(level, slot), entry);
    this.#occupied[level] = (this.#occupied[level] as number) | (1 << slot);
  }

  /** Also out of the lists that are no slots. */
  remove(entry: Entry): void {
    unlink(entry);
    if (entry.index === NO_SLOT) return;
    const level = Math.floor(entry.index / SLOTS);
    const slot = entry.index % SLOTS;
    entry.index = NO_SLOT;
    const head = this.head(level, slot);
    if (head.next === head) this.#occupied[level] = (this.#occupied[level] as number) & ~(1 << slot);
  }

  /** Every timer of a level is later than all of the levels below. `LEVELS` when there is none. */
  lowestLevel(): number {
    let level = 0;
    while (level < LEVELS && this.#occupied[level] === 0) level += 1;
    return level;
  }

  /** The earliest occupied slot of an occupied level: slots of the present turn are in order. */
  first(level: number): number {
    const bits = this.#occupied[level] as number;
    return 31 - Math.clz32(bits & -bits);
  }
}

function append(head: Entry, entry: Entry): void {
  entry.prev = head.prev;
  entry.next = head;
  head.prev.next = entry;
  head.prev = entry;
}

function unlink(entry: Entry): void {
  entry.prev.next = entry.next;
  entry.next.prev = entry.prev;
  entry.prev = entry;
  entry.next = entry;
}

function moveAll(from: Entry, to: Entry): void {
  while (from.next !== from) {
    const entry = from.next;
    unlink(entry);
    append(to, entry);
  }
}
