/** Bytes in order, kept as the pieces they came in and taken out in pieces of any other size. */
import { assert } from '@ambit/base/assert';

export class ByteQueue {
  length = 0;
  #pieces: Uint8Array[] = [];
  #headOffset = 0;

  /** Keeps `bytes` itself: the caller hands over a copy. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.length += bytes.length;
  }

  /** Takes exactly `count` bytes. */
  readInto(target: Uint8Array, offset: number, count: number): void {
    assert(count <= this.length && offset + count <= target.length, 'a queue is read within its bounds');
    let done = 0;
    let used = 0;
    while (done < count) {
      const piece = this.#pieces[used]!;
      const taken = Math.min(count - done, piece.length - this.#headOffset);
      target.set(piece.subarray(this.#headOffset, this.#headOffset + taken), offset + done);
      done += taken;
      this.#headOffset += taken;
      if (this.#headOffset < piece.length) break;
      this.#headOffset = 0;
      used += 1;
    }
    if (used > 0) this.#pieces.splice(0, used);
    this.length -= count;
  }

  take(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    this.readInto(bytes, 0, count);
    return bytes;
  }

  clear(): void {
    this.#pieces = [];
    this.#headOffset = 0;
    this.length = 0;
  }
}
