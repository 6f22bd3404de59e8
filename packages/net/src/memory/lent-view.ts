/**
 * The memory in which all deliveries of a network are shown, one after the other. After each call it holds garbage: a
 * receiver that keeps a view instead of a copy sees that at its next look.
 */
import { assert } from '@ambit/base/assert';
import type { Rng } from '@ambit/base/rng';
import { HEADROOM_BYTES } from '../engine.ts';
import type { ByteQueue } from './byte-queue.ts';

const GARBAGE = 0xdd;
const GUARD = 0xa5;
/** Before the headroom, and behind the data: a receiver may not write there. */
const GUARD_BYTES = 16;
/** The place of the data differs from call to call, so that nobody relies on one. */
const SHIFT_BYTES_MAX = 64;
/** The most that one `onData` carries; as large as a reactor's region. */
export const VIEW_BYTES_MAX = 64 * 1024;

export class LentView {
  readonly bytes = new Uint8Array(VIEW_BYTES_MAX + SHIFT_BYTES_MAX + HEADROOM_BYTES + 2 * GUARD_BYTES).fill(GARBAGE);
  readonly #rng: Rng;
  #offset = 0;
  #length = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** Offset at which the next `length` bytes of `queue` now lie. */
  lend(queue: ByteQueue, length: number): number {
    const offset = GUARD_BYTES + HEADROOM_BYTES + this.#rng.integer(SHIFT_BYTES_MAX);
    this.#offset = offset;
    this.#length = length;
    this.bytes.fill(GUARD, this.#guardStart(), offset - HEADROOM_BYTES);
    this.bytes.fill(GUARD, offset + length, offset + length + GUARD_BYTES);
    queue.readInto(this.bytes, offset, length);
    return offset;
  }

  reclaim(): void {
    const end = this.#offset + this.#length;
    const before = this.bytes.subarray(this.#guardStart(), this.#offset - HEADROOM_BYTES);
    const behind = this.bytes.subarray(end, end + GUARD_BYTES);
    assert(before.every(isGuard) && behind.every(isGuard), 'a receiver writes into its view and headroom alone');
    this.bytes.fill(GARBAGE, this.#guardStart(), end + GUARD_BYTES);
  }

  #guardStart(): number {
    return this.#offset - HEADROOM_BYTES - GUARD_BYTES;
  }
}

function isGuard(byte: number): boolean {
  return byte === GUARD;
}
