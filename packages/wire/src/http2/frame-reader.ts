/**
 * Cuts the peer's bytes into frames (RFC 9113 section 4.1). DATA payloads are handed on where they lie, in as many
 * pieces as they arrive in; other payloads are handed on whole, from where they lie or, when they straddle two
 * reads, from a buffer that grows with what has arrived and never beyond what the sink asked for.
 */
import { readUint31 } from './frames.ts';
import { FRAME_HEADER_BYTES } from './types.ts';

/** `frameStart` answers how much of a payload it wants collected; the rest is skipped. This: all of it, in pieces. */
export const IN_PIECES = -1;

export interface FrameSink {
  /** True ends the reading: nothing is told any more. */
  readonly stopped: boolean;
  frameStart(type: number, flags: number, streamId: number, length: number): number;
  framePiece(bytes: Uint8Array, offset: number, length: number): void;
  /** The collected payload, or the end of one that came in pieces (length 0). */
  frameEnd(bytes: Uint8Array, offset: number, length: number): void;
}

const FIRST_COLLECTED_BYTES = 512;

export class FrameReader {
  readonly #sink: FrameSink;
  /** Of a header that straddles two reads. */
  #header: Uint8Array | null = null;
  #headerLength = 0;
  /** Of the payload: still to be taken, and still to be skipped after that. */
  #wanted = 0;
  #skipped = 0;
  #inPieces = false;
  #collected: Uint8Array | null = null;
  #collectedLength = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  read(bytes: Uint8Array, offset: number, length: number): void {
    const end = offset + length;
    let at = offset;
    while (at < end && !this.#sink.stopped) {
      if (this.#headerLength < FRAME_HEADER_BYTES) {
        at = this.#readHeader(bytes, at, end);
      } else if (this.#wanted > 0) {
        at = this.#inPieces ? this.#pass(bytes, at, end) : this.#collect(bytes, at, end);
      } else {
        const skipped = Math.min(this.#skipped, end - at);
        this.#skipped -= skipped;
        at += skipped;
        this.#finishSkip();
      }
    }
  }

  #readHeader(bytes: Uint8Array, at: number, end: number): number {
    if (this.#headerLength === 0 && end - at >= FRAME_HEADER_BYTES) {
      this.#headerLength = FRAME_HEADER_BYTES;
      this.#start(bytes, at);
      return at + FRAME_HEADER_BYTES;
    }
    const header = this.#header ?? new Uint8Array(FRAME_HEADER_BYTES);
    const taken = Math.min(FRAME_HEADER_BYTES - this.#headerLength, end - at);
    for (let i = 0; i < taken; i++) header[this.#headerLength + i] = bytes[at + i] as number;
    this.#headerLength += taken;
    const whole = this.#headerLength === FRAME_HEADER_BYTES;
    this.#header = whole ? null : header;
    if (whole) this.#start(header, 0);
    return at + taken;
  }

  #start(header: Uint8Array, at: number): void {
    const length = ((header[at] as number) << 16) | ((header[at + 1] as number) << 8) | (header[at + 2] as number);
    const type = header[at + 3] as number;
    const wanted = this.#sink.frameStart(type, header[at + 4] as number, readUint31(header, at + 5), length);
    if (this.#sink.stopped) return;
    this.#inPieces = wanted === IN_PIECES;
    this.#wanted = this.#inPieces ? length : wanted;
    this.#skipped = length - this.#wanted;
    if (this.#wanted === 0) this.#deliver(header, at, 0);
  }

  #pass(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#wanted, end - at);
    this.#wanted -= taken;
    this.#sink.framePiece(bytes, at, taken);
    if (this.#wanted === 0 && !this.#sink.stopped) this.#deliver(bytes, at, 0);
    return at + taken;
  }

  #collect(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#wanted, end - at);
    if (this.#collected === null && taken === this.#wanted) {
      this.#wanted = 0;
      this.#deliver(bytes, at, taken);
      return at + taken;
    }
    const length = this.#collectedLength + taken;
    if (this.#collected === null || this.#collected.length < length) {
      const grown = new Uint8Array(
        Math.min(this.#collectedLength + this.#wanted, Math.max(FIRST_COLLECTED_BYTES, 2 * length)),
      );
      if (this.#collected !== null) grown.set(this.#collected.subarray(0, this.#collectedLength));
      this.#collected = grown;
    }
    this.#collected.set(bytes.subarray(at, at + taken), this.#collectedLength);
    this.#collectedLength = length;
    this.#wanted -= taken;
    if (this.#wanted === 0) {
      const collected = this.#collected;
      this.#collected = null;
      this.#collectedLength = 0;
      this.#deliver(collected, 0, length);
    }
    return at + taken;
  }

  #deliver(bytes: Uint8Array, offset: number, length: number): void {
    this.#finishSkip();
    this.#sink.frameEnd(bytes, offset, length);
  }

  /** The next byte begins a frame once nothing of this one is left. */
  #finishSkip(): void {
    if (this.#skipped === 0) this.#headerLength = 0;
  }
}
