/**
 * A bounded first-in-first-out queue on a circular array. Pushing allocates nothing, but for the doubling of the array
 * on its way to the bound; it never grows past it, so a queue that nobody drains cannot take the process with it.
 */
import { assert } from './assert.ts';

/** Slots made at first: most queues stay this short, and there may be one for each connection. */
const SLOTS_INITIAL = 8;

export class Ring<T> {
  readonly capacity: number;
  #slots: (T | undefined)[];
  #head = 0;
  #length = 0;

  constructor(capacity: number) {
    assert(Number.isSafeInteger(capacity) && capacity > 0, 'a ring has a positive capacity');
    this.capacity = capacity;
    this.#slots = new Array<T | undefined>(Math.min(SLOTS_INITIAL, capacity)).fill(undefined);
  }

  get length(): number {
    return this.#length;
  }

  /** False, and nothing changed, when the ring is full. */
  push(item: T): boolean {
    if (this.#length === this.capacity) return false;
    if (this.#length === this.#slots.length) this.#grow();
    let tail = this.#head + this.#length;
    if (tail >= this.#slots.length) tail -= this.#slots.length;
    this.#slots[tail] = item;
    this.#length += 1;
    return true;
  }

  /** The oldest item, taken out; undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    // The slot lets go of its item, or the ring would keep alive what was taken from it.
    this.#slots[this.#head] = undefined;
    this.#head = this.#head + 1 === this.#slots.length ? 0 : this.#head + 1;
    this.#length -= 1;
    return item;
  }

  /** The item that `shift` would take. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#head];
  }

  /** Empties the ring and gives grown memory back. */
  clear(): void {
    this.#slots = new Array<T | undefined>(Math.min(SLOTS_INITIAL, this.capacity)).fill(undefined);
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const lengthOld = this.#slots.length;
    const slots = new Array<T | undefined>(Math.min(this.capacity, lengthOld * 2)).fill(undefined);
    for (let i = 0; i < this.#length; i++) slots[i] = this.#slots[(this.#head + i) % lengthOld];
    this.#slots = slots;
    this.#head = 0;
  }
}
