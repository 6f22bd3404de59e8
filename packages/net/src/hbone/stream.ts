/**
 * One CONNECT tunnel as a `Duplex`: DATA frames are the bytes, END_STREAM the half-close (RFC 9113 section 8.5).
 *
 * `write` lets the frame header overwrite the bytes before `offset`, so nothing is copied on the way through. Credit:
 * what was delivered counts as consumed at once while the receiver has credit, else with its next `resume()`.
 * A peer's RST_STREAM with NO_ERROR or CANCEL ends the reading cleanly (as Istio's ztunnel); ours says CONNECT_ERROR,
 * so that a transfer cut short never looks whole to the other side.
 */
import type { AmbitError } from '@ambit/base/errors';
import { type HeaderList, Http2ErrorCode, type Http2StreamLike } from '@ambit/wire/http2';
import { DroppingReceiver } from '../dropping-receiver.ts';
import { type Duplex, HEADROOM_BYTES, type Receiver } from '../engine.ts';
import { ByteQueue } from './byte-queue.ts';
import { hboneError, hboneHandlerFault } from './errors.ts';

/** Who holds the stream until it carries bytes: the client until the answer, the server until the decision. */
export interface StreamOpening {
  /** Response headers (client). */
  onHeaders(headers: HeaderList, endStream: boolean): void;
  /** Gone before it was opened. */
  onGone(error: AmbitError | null): void;
}

/** What a stream needs of its session. */
export interface StreamHost {
  readonly unsentBytesMax: number;
  /** Calls `runDeferred` of the stream soon, from the engine. */
  defer(stream: HboneStream): void;
  /** A handler of this stream threw. */
  countFault(): void;
}

/** Payload of the empty DATA frame that carries END_STREAM; its header goes into the bytes before. */
const NOTHING = new Uint8Array(HEADROOM_BYTES);

export class HboneStream implements Duplex {
  readonly #http2: Http2StreamLike;
  readonly #host: StreamHost;
  #opening: StreamOpening | null;
  #receiver: Receiver | null = null;
  /** Came in before there was a receiver. No credit was given for it, so the stream's window bounds it. */
  #early: ByteQueue | null = null;
  /** Written beyond the window. */
  #unsent: ByteQueue | null = null;
  #uncreditedBytes = 0;
  /** Calls of the receiver on this stream that are running: `onClose` must not come from inside one. */
  #depth = 0;
  #endWanted = false;
  #endSeen = false;
  #endTold = false;
  #closed = false;
  #closeTold = false;
  #closeError: AmbitError | null = null;
  #abortError: AmbitError | null = null;
  /** `finish()` was called: with this it is gone once all is sent. */
  #finishing: AmbitError | null = null;

  constructor(http2: Http2StreamLike, host: StreamHost, opening: StreamOpening) {
    this.#http2 = http2;
    this.#host = host;
    this.#opening = opening;
    http2.context = this;
  }

  /** The stream carries bytes from now on; its opener lets go of it. */
  opened(): void {
    this.#opening = null;
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#early !== null || this.#endSeen !== this.#endTold || this.#closed) this.#host.defer(this);
  }

  write(bytes: Uint8Array, offset: number, length: number): void {
    if (length === 0 || this.#endWanted || this.#closed) return;
    this.#depth++;
    let sent = 0;
    if (this.#unsent === null) {
      sent = Math.min(length, this.#http2.sendableBytes());
      if (sent > 0) this.#http2.sendData(bytes, offset, sent, false);
    }
    if (sent < length && !this.#closed) {
      this.#keepUnsent(bytes, offset + sent, length - sent);
      // Asking again is what has `onWritable` called.
      if (sent > 0) this.#flush();
    }
    this.#depth--;
  }

  writableBytes(): number {
    return this.#closed || this.#endWanted || this.#unsent !== null ? 0 : this.#http2.sendableBytes();
  }

  end(): void {
    if (this.#endWanted || this.#closed) return;
    this.#endWanted = true;
    if (this.#unsent !== null) return;
    this.#depth++;
    this.#http2.sendData(NOTHING, HEADROOM_BYTES, 0, true);
    this.#depth--;
  }

  resume(): void {
    this.#depth++;
    this.#giveCredit();
    this.#depth--;
  }

  finish(error: AmbitError): void {
    if (this.#closed || this.#finishing !== null) return;
    this.#finishing = error;
    this.#receiver = new DroppingReceiver(this.#receiver);
    this.resume();
    this.end();
    this.#depth++;
    this.#resetWhenSent();
    this.#depth--;
  }

  abort(error: AmbitError): void {
    this.#depth++;
    this.#cut(error, Http2ErrorCode.CONNECT_ERROR);
    this.#depth--;
  }

  /** Ends a stream that never carried bytes, and tells nobody. CONNECT_ERROR would speak of bytes that were lost. */
  drop(errorCode: number): void {
    this.#opening = null;
    this.#early = null;
    if (!this.#closed) this.#http2.reset(errorCode);
  }

  // What follows is called by the session.

  onHeaders(headers: HeaderList, endStream: boolean): void {
    this.#opening?.onHeaders(headers, endStream);
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    if (this.#receiver === null || this.#early !== null) {
      this.#early ??= new ByteQueue();
      this.#early.append(bytes, offset, length);
    } else {
      this.#deliver(bytes, offset, length);
    }
  }

  onEnd(): void {
    this.#endSeen = true;
    if (this.#receiver !== null && this.#early === null) this.#tellEnd();
  }

  onWritable(): void {
    if (!this.#flush() || this.#closed || this.#receiver === null) return;
    if (this.#endWanted) {
      if (!this.#http2.localEnded) this.#http2.sendData(NOTHING, HEADROOM_BYTES, 0, true);
      this.#resetWhenSent();
      return;
    }
    try {
      this.#receiver.onWritable();
    } catch (thrown) {
      this.#fault('onWritable', thrown);
    }
  }

  onStreamClose(error: AmbitError | null): void {
    this.#closed = true;
    this.#unsent = null;
    this.#closeError = this.#abortError ?? this.#finishing ?? error;
    const opening = this.#opening;
    if (opening !== null) {
      this.#opening = null;
      this.#early = null;
      opening.onGone(error);
      return;
    }
    if (this.#abortError === null && isCleanReset(error)) {
      this.#endSeen = true;
    } else {
      // What was not told yet is not told any more: an end without the bytes before it would be a lie.
      this.#early = null;
      this.#endSeen = this.#endTold;
    }
    // Without a receiver there is nobody to tell yet: `receive` sees to it.
    if (this.#receiver === null) return;
    if (this.#depth > 0 || this.#early !== null) this.#host.defer(this);
    else this.#finish();
  }

  /** What could not be told before: early data, the end, the close. In this order. */
  runDeferred(): void {
    const receiver = this.#receiver;
    if (receiver === null) return;
    const early = this.#early;
    while (early !== null && early === this.#early && early.length > 0) {
      const block = early.front();
      const length = block.end - block.start;
      this.#deliver(block.bytes, block.start, length);
      early.drop(length);
    }
    this.#early = null;
    if (this.#closed) this.#finish();
    else if (this.#endSeen) this.#tellEnd();
  }

  #finish(): void {
    if (this.#closeTold) return;
    if (this.#endSeen) this.#tellEnd();
    this.#closeTold = true;
    const ours = this.#abortError !== null || this.#finishing !== null;
    const clean = this.#http2.localEnded && !ours && isCleanReset(this.#closeError);
    try {
      this.#receiver?.onClose(clean ? null : this.#closeError);
    } catch {
      this.#host.countFault();
    }
  }

  #tellEnd(): void {
    if (this.#endTold || this.#abortError !== null) return;
    this.#endTold = true;
    try {
      this.#receiver?.onEnd();
    } catch (thrown) {
      this.#fault('onEnd', thrown);
    }
  }

  #deliver(bytes: Uint8Array, offset: number, length: number): void {
    this.#uncreditedBytes += length;
    try {
      this.#receiver?.onData(bytes, offset, length);
      this.#giveCredit();
    } catch (thrown) {
      this.#fault('onData', thrown);
    }
  }

  #giveCredit(): void {
    const bytes = this.#uncreditedBytes;
    if (bytes === 0 || this.#closed || this.#receiver === null || this.#receiver.creditBytes() <= 0) return;
    this.#uncreditedBytes = 0;
    this.#http2.consume(bytes);
  }

  #keepUnsent(bytes: Uint8Array, offset: number, length: number): void {
    this.#unsent ??= new ByteQueue();
    if (this.#unsent.length + length > this.#host.unsentBytesMax) {
      const message = `a writer left more than ${this.#host.unsentBytesMax} bytes unsent`;
      this.#cut(hboneError('HBONE_UNSENT_FULL', message), Http2ErrorCode.INTERNAL_ERROR);
      return;
    }
    this.#unsent.append(bytes, offset, length);
  }

  /** True when nothing is left unsent. */
  #flush(): boolean {
    const unsent = this.#unsent;
    while (unsent !== null && unsent.length > 0) {
      const block = unsent.front();
      const length = Math.min(block.end - block.start, this.#http2.sendableBytes());
      if (length === 0) return false;
      this.#http2.sendData(block.bytes, block.start, length, false);
      if (this.#closed) return false;
      unsent.drop(length);
    }
    this.#unsent = null;
    return true;
  }

  #fault(handler: string, thrown: unknown): void {
    this.#host.countFault();
    this.#cut(hboneHandlerFault(handler, thrown), Http2ErrorCode.INTERNAL_ERROR);
  }

  /** After the end: nothing was cut short, the peer is only to stop sending (RFC 9113 section 8.1). */
  #resetWhenSent(): void {
    if (this.#finishing !== null && this.#http2.localEnded) this.#cut(this.#finishing, Http2ErrorCode.NO_ERROR);
  }

  #cut(error: AmbitError, code: number): void {
    if (this.#closed || this.#abortError !== null) return;
    this.#abortError = error;
    this.#http2.reset(code);
  }
}

function isCleanReset(error: AmbitError | null): boolean {
  return error === null || error.code === 'HTTP2_NO_ERROR' || error.code === 'HTTP2_CANCEL';
}
