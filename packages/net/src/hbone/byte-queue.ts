/**
 * Bytes kept for later, in order: what came in before anyone may have it, what was written beyond the window. Blocks
 * are made on demand and dropped as they empty; before every byte that is handed out lie `HEADROOM_BYTES` to overwrite.
 */
import { assert } from '@ambit/base/assert';
import { HEADROOM_BYTES } from '../engine.ts';

/** A block takes several small writes; larger ones get a block of their own size, up to the largest. */
const BLOCK_BYTES = 4 * 1024;
const BLOCK_MAX_BYTES = 64 * 1024;

export class ByteQueue {
  length = 0;
  #blocks: Block[] = [];

  append(bytes: Uint8Array, offset: number, length: number): void {
    const end = offset + length;
    this.length += length;
    let at = offset;
    while (at < end) {
      let block = this.#blocks.at(-1);
      if (block === undefined || block.end === block.bytes.length) {
        block = new Block(Math.min(BLOCK_MAX_BYTES, Math.max(BLOCK_BYTES, end - at)));
        this.#blocks.push(block);
      }
      const taken = Math.min(end - at, block.bytes.length - block.end);
      block.bytes.set(bytes.subarray(at, at + taken), block.end);
      block.end += taken;
      at += taken;
    }
  }

  /** The oldest bytes that lie in one piece; look again after each `drop`. The queue is not empty. */
  front(): Block {
    const block = this.#blocks[0];
    assert(block !== undefined, 'front of a queue that is not empty');
    return block;
  }

  /** The first `length` bytes of `front()` are done with. */
  drop(length: number): void {
    const block = this.front();
    assert(length <= block.end - block.start, 'drop stays within the front block');
    block.start += length;
    this.length -= length;
    if (block.start === block.end) this.#blocks.shift();
  }
}

export class Block {
  readonly bytes: Uint8Array;
  start = HEADROOM_BYTES;
  end = HEADROOM_BYTES;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(HEADROOM_BYTES + sizeBytes);
  }
}
