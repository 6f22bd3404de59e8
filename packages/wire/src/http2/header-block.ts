/**
 * A header block from its HEADERS and CONTINUATIONs (RFC 9113 section 4.3). One that came whole is decoded where it
 * lies; pieces are put together in a buffer. Both the bytes and the number of pieces are capped (CVE-2024-27316).
 */
import type { HpackDecoder, HpackResult } from '@ambit/wire/hpack';
import { HEADER_BLOCK_MIN_BYTES, HEADER_BLOCK_PER_LIST } from './limits.ts';
import type { Http2Options } from './types.ts';

export class HeaderBlock {
  readonly #maxBytes: number;
  readonly #continuationsMax: number;
  #bytes: Uint8Array | null = null;
  #length = 0;
  #continuations = 0;
  /** Of the stream whose CONTINUATION has to come next; 0: none. */
  streamId = 0;
  endStream = false;
  selfDependent = false;

  constructor(options: Http2Options) {
    this.#maxBytes = Math.max(HEADER_BLOCK_MIN_BYTES, HEADER_BLOCK_PER_LIST * options.headerListMaxBytes);
    this.#continuationsMax = options.continuationsMax;
  }

  /** False: the frame that is coming makes the block too large, or is one too many. */
  admits(frameBytes: number, isContinuation: boolean): boolean {
    if (isContinuation) this.#continuations++;
    return this.#length + frameBytes <= this.#maxBytes && this.#continuations <= this.#continuationsMax;
  }

  append(bytes: Uint8Array, offset: number, length: number): void {
    const needed = this.#length + length;
    if (this.#bytes === null || this.#bytes.length < needed) {
      const grown = new Uint8Array(Math.min(this.#maxBytes, 2 * needed));
      if (this.#bytes !== null) grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(offset, offset + length), this.#length);
    this.#length = needed;
  }

  /** With the last piece; the next block starts afresh. */
  decode(decoder: HpackDecoder, bytes: Uint8Array, offset: number, length: number): HpackResult {
    if (this.#bytes === null) return decoder.decode(bytes, offset, length);
    this.append(bytes, offset, length);
    const block = this.#bytes;
    const blockLength = this.#length;
    this.#bytes = null;
    this.#length = 0;
    this.#continuations = 0;
    return decoder.decode(block, 0, blockLength);
  }
}
