/** The peer's DATA, handed on where it lies (RFC 9113 sections 6.1, 6.9 and 8.1.1). */
import { FrameFlag } from './frames.ts';
import type { SessionCore } from './session-core.ts';
import type { Http2Stream } from './stream.ts';
import { Http2ErrorCode } from './types.ts';

export class InboundData {
  readonly #core: SessionCore;
  /** Null: what comes is dropped, and its credit given back. */
  #stream: Http2Stream | null = null;
  #frameBytes = 0;
  /** Of the content; padding follows it. */
  #remaining = 0;
  #padLengthDue = false;
  #endStream = false;

  constructor(core: SessionCore) {
    this.#core = core;
  }

  /** The whole frame counts against both windows, padding too, also where it is dropped (section 5.2.1, 6.9). */
  start(flags: number, streamId: number, length: number): void {
    const core = this.#core;
    const padded = (flags & FrameFlag.PADDED) !== 0;
    if (streamId === 0) {
      core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'DATA on stream 0');
      return;
    }
    if (padded && length === 0) {
      core.fail(Http2ErrorCode.FRAME_SIZE_ERROR, 'padded DATA without pad length');
      return;
    }
    if (!core.receiveWindow.charge(length)) {
      core.fail(Http2ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the connection's window");
      return;
    }
    this.#frameBytes = length;
    this.#remaining = length;
    this.#padLengthDue = padded;
    this.#endStream = (flags & FrameFlag.END_STREAM) !== 0;
    this.#stream = this.#admit(streamId, length);
    if (core.closed) return;
    core.budgets.earnReceived(length);
    if (this.#stream === null || (length === 0 && !this.#endStream)) core.countIdleFrame();
    if (this.#stream !== null) this.#stream.endBegun = this.#endStream;
  }

  piece(bytes: Uint8Array, offset: number, length: number): void {
    let at = offset;
    let available = length;
    if (this.#padLengthDue) {
      this.#padLengthDue = false;
      const padBytes = bytes[at] as number;
      at++;
      available--;
      this.#remaining = this.#frameBytes - 1 - padBytes;
      if (this.#remaining < 0) {
        this.#core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'more padding than DATA');
        return;
      }
      this.#dropped(1 + padBytes);
    }
    const content = Math.min(available, this.#remaining);
    if (content === 0) return;
    this.#remaining -= content;
    const stream = this.#stream;
    if (stream === null || stream.closed) this.#core.creditConnection(content);
    else this.#deliver(stream, bytes, at, content);
  }

  end(): void {
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null || stream.closed || !this.#endStream) return;
    if (stream.contentLengthBytes >= 0 && stream.contentBytes !== stream.contentLengthBytes) {
      this.#core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'less DATA than content-length announced');
      return;
    }
    endRemote(this.#core, stream);
  }

  #admit(streamId: number, length: number): Http2Stream | null {
    const core = this.#core;
    const stream = core.streams.get(streamId);
    if (stream === null) {
      if (core.streams.isIdle(streamId)) core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'DATA on an idle stream');
      else if (core.streams.wasEnded(streamId)) core.fail(Http2ErrorCode.STREAM_CLOSED, 'DATA after the end');
      return null;
    }
    if (stream.remoteEnded) {
      core.streamError(stream, Http2ErrorCode.STREAM_CLOSED, 'DATA after END_STREAM');
    } else if (!stream.messageSeen) {
      core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'DATA before the response');
    } else if (!stream.receiveWindow.charge(length)) {
      core.streamError(stream, Http2ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the stream's window");
    } else {
      return stream;
    }
    return null;
  }

  #deliver(stream: Http2Stream, bytes: Uint8Array, offset: number, length: number): void {
    stream.contentBytes += length;
    if (stream.contentLengthBytes >= 0 && stream.contentBytes > stream.contentLengthBytes) {
      this.#core.creditConnection(length);
      this.#core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'more DATA than content-length announced');
      return;
    }
    stream.unconsumedBytes += length;
    this.#core.handler.onData(stream, bytes, offset, length);
  }

  /** Padding nobody reads. */
  #dropped(length: number): void {
    this.#core.creditConnection(length);
    const stream = this.#stream;
    if (stream !== null && !stream.closed) stream.creditStream(length);
  }
}

/** END_STREAM: the handler is told, and the stream is gone if this side had ended too. */
export function endRemote(core: SessionCore, stream: Http2Stream): void {
  stream.remoteEnded = true;
  stream.endBegun = true;
  core.handler.onEnd(stream);
  if (stream.closed) return;
  stream.endTold = true;
  if (stream.localEnded) core.finishStream(stream, null);
}
