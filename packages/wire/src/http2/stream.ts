/** One stream: its states, what may be sent on it, and the credit of what was received (RFC 9113 sections 5.1, 5.2). */
import { assert } from '@ambit/base/assert';
import { FrameFlag, FrameType, writeFrameHeader } from './frames.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { SessionCore } from './session-core.ts';
import { FRAME_HEADER_BYTES, type HeaderList, type Http2StreamLike } from './types.ts';
import type { RingNode } from './writable-ring.ts';

export class Http2Stream implements Http2StreamLike, RingNode {
  readonly id: number;
  context: unknown = null;
  headersKind: 'request' | 'response' | 'interim' | 'trailers' = 'request';
  remoteEnded = false;
  localEnded = false;
  closed = false;

  // What follows belongs to the session.
  sendWindowBytes: number;
  readonly receiveWindow: ReceiveWindow;
  /** Delivered, and not consumed yet. */
  unconsumedBytes = 0;
  /** The frame with END_STREAM has begun: no more credit is needed. */
  endBegun = false;
  /** `onEnd` was told. */
  endTold = false;
  /** The request (server) or the final response (client) has come. */
  messageSeen = false;
  isConnect = false;
  isHead = false;
  /** -1: not announced. */
  contentLengthBytes = -1;
  contentBytes = 0;
  /** Its own window is used up: it waits outside the ring. */
  waitsForWindow = false;
  inRing = false;
  ringNext: RingNode | null = null;
  ringPrevious: RingNode | null = null;

  readonly #core: SessionCore;

  constructor(core: SessionCore, id: number, sendWindowBytes: number, receiveWindow: ReceiveWindow) {
    this.#core = core;
    this.id = id;
    this.sendWindowBytes = sendWindowBytes;
    this.receiveWindow = receiveWindow;
  }

  sendHeaders(headers: HeaderList, endStream: boolean): void {
    if (this.closed) return;
    assert(!this.localEnded, 'headers after this side ended the stream');
    this.#core.writeHeaders(this.id, headers, endStream);
    if (endStream) this.#endLocal();
    this.#core.endTurn();
  }

  sendableBytes(): number {
    if (this.closed || this.localEnded) return 0;
    const core = this.#core;
    const bytes = Math.min(this.sendWindowBytes, core.sendWindowBytes, core.transport.writableBytes());
    if (bytes > 0) return bytes;
    core.waitWritable(this);
    return 0;
  }

  sendData(bytes: Uint8Array, offset: number, length: number, endStream: boolean): void {
    if (this.closed) return;
    assert(!this.localEnded, 'data after this side ended the stream');
    const core = this.#core;
    if (length > 0) {
      assert(length <= Math.min(this.sendWindowBytes, core.sendWindowBytes), 'data beyond the window');
      core.control.flushHeaders();
      this.sendWindowBytes -= length;
      core.sendWindowBytes -= length;
      core.budgets.earnSent(length);
      if (offset >= FRAME_HEADER_BYTES) this.#writeInPlace(bytes, offset, length, endStream);
      else this.#writeCopy(bytes, offset, length, endStream);
    } else if (endStream) {
      core.control.emptyData(this.id);
    }
    if (endStream) this.#endLocal();
    else if (this.sendWindowBytes <= 0 || core.sendWindowBytes <= 0) core.waitWritable(this);
    core.endTurn();
  }

  consume(length: number): void {
    if (this.closed || length === 0) return;
    assert(length > 0 && length <= this.unconsumedBytes, 'consumed more than was delivered');
    this.unconsumedBytes -= length;
    const core = this.#core;
    core.creditConnection(length);
    this.creditStream(length);
    core.endTurn();
  }

  reset(errorCode: number): void {
    if (this.closed) return;
    this.#core.resetStream(this, errorCode, 'this side reset the stream');
    this.#core.endTurn();
  }

  /** A reader that keeps up, one that left nothing lying here, gets a larger window. */
  creditStream(length: number): void {
    if (this.endBegun) return;
    const growToBytes = this.unconsumedBytes === 0 ? this.#core.options.streamWindowMaxBytes : 0;
    const increment = this.receiveWindow.credit(length, growToBytes);
    if (increment > 0) this.#core.control.windowUpdate(this.id, increment);
  }

  /** The transport takes each frame before the next one's header overwrites the end of its payload. */
  #writeInPlace(bytes: Uint8Array, offset: number, length: number, endStream: boolean): void {
    const core = this.#core;
    const frameMax = core.peer.frameSizeMaxBytes;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const payload = Math.min(frameMax, end - at);
      const flags = endStream && at + payload === end ? FrameFlag.END_STREAM : 0;
      writeFrameHeader(bytes, at - FRAME_HEADER_BYTES, payload, FrameType.DATA, flags, this.id);
      core.transport.write(bytes, at - FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + payload);
      at += payload;
    }
  }

  #writeCopy(bytes: Uint8Array, offset: number, length: number, endStream: boolean): void {
    const copy = new Uint8Array(FRAME_HEADER_BYTES + length);
    copy.set(bytes.subarray(offset, offset + length), FRAME_HEADER_BYTES);
    this.#writeInPlace(copy, FRAME_HEADER_BYTES, length, endStream);
  }

  #endLocal(): void {
    this.localEnded = true;
    this.#core.stopWaiting(this);
    if (this.endTold) this.#core.finishStream(this, null);
  }
}
