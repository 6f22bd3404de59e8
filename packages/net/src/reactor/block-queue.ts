/**
 * Bytes that a peer has not taken yet, in blocks of native memory from a pool of the process. A queue that is empty
 * holds no block; the pages of blocks that nobody uses are given back to the system by `releaseBlocks`.
 */
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import { BLOCK_BYTES, BLOCKS_PER_REGION } from './limits.ts';

const MADV_DONTNEED = 4;

interface Block {
  readonly region: Region;
  readonly offset: number;
}

const free: Block[] = [];
let resident = 0;

function takeBlock(): Block {
  if (free.length === 0) {
    const region = Region.map(BLOCK_BYTES * BLOCKS_PER_REGION);
    for (let index = BLOCKS_PER_REGION - 1; index >= 0; index -= 1) free.push({ region, offset: index * BLOCK_BYTES });
  }
  resident += 1;
  return free.pop() as Block;
}

/** Gives back the pages of free blocks, where any were used since the last time. */
export function releaseBlocks(): void {
  if (resident === 0) return;
  resident = 0;
  for (const block of free) libc.madvise(block.region.at(block.offset, BLOCK_BYTES), BLOCK_BYTES, MADV_DONTNEED);
}

export class BlockQueue {
  #blocks: Block[] = [];
  #headOffset = 0;
  /** Bytes in the last block. */
  #tailBytes = 0;
  bytes = 0;

  append(from: Uint8Array, offset: number, length: number): void {
    this.bytes += length;
    for (let done = 0; done < length; ) {
      if (this.#blocks.length === 0 || this.#tailBytes === BLOCK_BYTES) {
        this.#blocks.push(takeBlock());
        this.#tailBytes = 0;
      }
      const block = this.#blocks[this.#blocks.length - 1] as Block;
      const take = Math.min(BLOCK_BYTES - this.#tailBytes, length - done);
      block.region.bytes.set(from.subarray(offset + done, offset + done + take), block.offset + this.#tailBytes);
      this.#tailBytes += take;
      done += take;
    }
  }

  /** Contiguous bytes at the head; 0 when it is empty. */
  headBytes(): number {
    if (this.#blocks.length === 0) return 0;
    return (this.#blocks.length === 1 ? this.#tailBytes : BLOCK_BYTES) - this.#headOffset;
  }

  headAddress(): number {
    const block = this.#blocks[0] as Block;
    return block.region.at(block.offset + this.#headOffset, this.headBytes());
  }

  /** At most `headBytes()`. */
  drop(length: number): void {
    this.bytes -= length;
    this.#headOffset += length;
    if (this.headBytes() > 0) return;
    free.push(this.#blocks.shift() as Block);
    this.#headOffset = 0;
    if (this.#blocks.length === 0) this.#tailBytes = 0;
  }

  clear(): void {
    free.push(...this.#blocks);
    this.#blocks = [];
    this.#headOffset = 0;
    this.#tailBytes = 0;
    this.bytes = 0;
  }
}
