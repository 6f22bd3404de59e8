/** What one end has written and its simulated kernel has not taken yet: counted, with a mark, an end and news of room. */
import type { EngineCounters } from '../engine.ts';
import { ByteQueue } from './byte-queue.ts';

export class Outbox {
  endRequested = false;
  endSent = false;
  readonly #counters: EngineCounters;
  /** `room()` is 0 from here on. */
  readonly #markBytes: number;
  readonly #queue = new ByteQueue();
  #roomWanted = false;

  constructor(counters: EngineCounters, markBytes: number) {
    this.#counters = counters;
    this.#markBytes = markBytes;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** A copy is kept. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    this.#queue.push(bytes.slice(offset, offset + length));
    this.#counters.queuedBytes += length;
    if (this.#queue.length >= this.#markBytes) this.#roomWanted = true;
  }

  /** Whoever is told 0 gets news later. */
  room(): number {
    const room = Math.max(0, this.#markBytes - this.#queue.length);
    if (room === 0) this.#roomWanted = true;
    return room;
  }

  take(count: number): Uint8Array {
    this.#counters.queuedBytes -= count;
    return this.#queue.take(count);
  }

  drop(): void {
    this.#counters.queuedBytes -= this.#queue.length;
    this.#queue.clear();
  }

  /** True once: all bytes are out and the end follows them. */
  takeEnd(): boolean {
    if (this.#queue.length > 0 || !this.endRequested || this.endSent) return false;
    this.endSent = true;
    return true;
  }

  /** True once each time that there was no room and half of the mark is free again. */
  takeRoomNews(): boolean {
    if (!this.#roomWanted || this.endRequested || this.#queue.length > this.#markBytes / 2) return false;
    this.#roomWanted = false;
    return true;
  }
}
