/** The peer's frames: sizes and states are checked when one begins, what it says is done when it ends (RFC 9113 6). */

import { type FrameSink, IN_PIECES } from './frame-reader.ts';
import { DEFAULT_WINDOW_BYTES, FrameFlag, FrameType, readUint31, readUint32, WINDOW_MAX_BYTES } from './frames.ts';
import { InboundData } from './inbound-data.ts';
import { InboundHeaders } from './inbound-headers.ts';
import { SETTINGS_ENTRIES_MAX } from './limits.ts';
import type { SessionCore } from './session-core.ts';
import { SETTING_BYTES } from './settings.ts';
import { Http2ErrorCode } from './types.ts';

/** Outside the range of types: what comes of this frame is dropped. */
const IGNORED = -1;

export class InboundFrames implements FrameSink {
  readonly #core: SessionCore;
  readonly #data: InboundData;
  readonly #headers: InboundHeaders;
  #type = IGNORED;
  #flags = 0;
  #streamId = 0;
  #settingsSeen = false;
  #goawaySeen = false;
  /** PINGs of ours without an answer. */
  #pingsOpen = 0;
  #drainPing: Uint8Array | null = null;

  constructor(core: SessionCore) {
    this.#core = core;
    this.#data = new InboundData(core);
    this.#headers = new InboundHeaders(core);
  }

  get stopped(): boolean {
    return this.#core.closed;
  }

  pingSent(): void {
    this.#pingsOpen++;
  }

  /** Its answer says that the peer has our first GOAWAY. */
  drainPingSent(opaque: Uint8Array): void {
    this.#drainPing = opaque;
  }

  frameStart(type: number, flags: number, streamId: number, length: number): number {
    if (length > this.#core.options.frameSizeMaxBytes) {
      return this.#fail(Http2ErrorCode.FRAME_SIZE_ERROR, 'a frame above the announced size');
    }
    if (!this.#settingsSeen && (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0)) {
      return this.#fail(Http2ErrorCode.PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    }
    const expected = this.#headers.expected;
    if (expected !== 0 && (type !== FrameType.CONTINUATION || streamId !== expected)) {
      return this.#fail(Http2ErrorCode.PROTOCOL_ERROR, 'a header block was interrupted');
    }
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    if (type === FrameType.DATA) {
      this.#data.start(flags, streamId, length);
      return IN_PIECES;
    }
    if (type === FrameType.HEADERS) return this.#headers.start(streamId, length);
    if (type === FrameType.CONTINUATION) return this.#headers.startContinuation(length);
    return this.#startControl(type, flags, streamId, length);
  }

  framePiece(bytes: Uint8Array, offset: number, length: number): void {
    this.#data.piece(bytes, offset, length);
  }

  frameEnd(bytes: Uint8Array, offset: number, length: number): void {
    switch (this.#type) {
      case FrameType.DATA:
        this.#data.end();
        break;
      case FrameType.HEADERS:
        this.#headers.end(this.#flags, this.#streamId, bytes, offset, length);
        break;
      case FrameType.CONTINUATION:
        this.#headers.endContinuation(this.#flags, this.#streamId, bytes, offset, length);
        break;
      case FrameType.PRIORITY:
        this.#priority(bytes, offset);
        break;
      case FrameType.RST_STREAM:
        this.#rstStream(readUint32(bytes, offset));
        break;
      case FrameType.SETTINGS:
        this.#settings(bytes, offset, length);
        break;
      case FrameType.PING:
        this.#ping(bytes, offset);
        break;
      case FrameType.GOAWAY:
        this.#goaway(readUint31(bytes, offset), readUint32(bytes, offset + 4));
        break;
      case FrameType.WINDOW_UPDATE:
        this.#windowUpdate(readUint31(bytes, offset));
        break;
    }
  }

  #startControl(type: number, flags: number, streamId: number, length: number): number {
    switch (type) {
      case FrameType.PRIORITY:
        return this.#startPriority(streamId, length);
      case FrameType.RST_STREAM:
        if (length !== 4) return this.#wrongSize('RST_STREAM');
        if (streamId === 0 || this.#core.streams.isIdle(streamId)) return this.#wrongStream('RST_STREAM');
        return length;
      case FrameType.SETTINGS:
        if (streamId !== 0) return this.#wrongStream('SETTINGS');
        if (length % SETTING_BYTES !== 0 || ((flags & FrameFlag.ACK) !== 0 && length > 0)) {
          return this.#wrongSize('SETTINGS');
        }
        if (length > SETTINGS_ENTRIES_MAX * SETTING_BYTES) {
          return this.#fail(Http2ErrorCode.ENHANCE_YOUR_CALM, 'too many settings in one frame');
        }
        return length;
      case FrameType.PUSH_PROMISE:
        return this.#fail(Http2ErrorCode.PROTOCOL_ERROR, 'PUSH_PROMISE where push is off');
      case FrameType.PING:
        if (streamId !== 0) return this.#wrongStream('PING');
        return length === 8 ? length : this.#wrongSize('PING');
      case FrameType.GOAWAY:
        if (streamId !== 0) return this.#wrongStream('GOAWAY');
        return length >= 8 ? 8 : this.#wrongSize('GOAWAY');
      case FrameType.WINDOW_UPDATE:
        if (length !== 4) return this.#wrongSize('WINDOW_UPDATE');
        if (streamId !== 0 && this.#core.streams.isIdle(streamId)) return this.#wrongStream('WINDOW_UPDATE');
        return length;
      default:
        // Types that are not known are dropped (section 5.5).
        this.#type = IGNORED;
        this.#core.countIdleFrame();
        return 0;
    }
  }

  #fail(errorCode: number, message: string): number {
    this.#core.fail(errorCode, message);
    return 0;
  }

  #wrongSize(frame: string): number {
    return this.#fail(Http2ErrorCode.FRAME_SIZE_ERROR, `${frame} of a wrong size`);
  }

  #wrongStream(frame: string): number {
    return this.#fail(Http2ErrorCode.PROTOCOL_ERROR, `${frame} on a wrong stream`);
  }

  /** Stream errors both; where there is no stream that could be reset, of the connection (section 5.4.2 lets us). */
  #startPriority(streamId: number, length: number): number {
    if (streamId === 0) return this.#wrongStream('PRIORITY');
    if (length === 5) return length;
    const stream = this.#core.streams.get(streamId);
    if (stream === null) return this.#wrongSize('PRIORITY');
    this.#core.streamError(stream, Http2ErrorCode.FRAME_SIZE_ERROR, 'PRIORITY of a wrong size');
    this.#type = IGNORED;
    return 0;
  }

  #priority(bytes: Uint8Array, offset: number): void {
    const core = this.#core;
    if (readUint31(bytes, offset) !== this.#streamId) {
      core.countIdleFrame();
      return;
    }
    const stream = core.streams.get(this.#streamId);
    if (stream === null) core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'a stream depends on itself');
    else core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'the stream depends on itself');
  }

  #rstStream(errorCode: number): void {
    const core = this.#core;
    const stream = core.streams.get(this.#streamId);
    if (stream === null) {
      core.countIdleFrame();
      return;
    }
    const retry = errorCode === Http2ErrorCode.REFUSED_STREAM ? 'safe' : 'unknown';
    stream.remoteEnded = true;
    core.finishStream(stream, core.error(errorCode, 'the peer reset the stream', retry));
    // Only who opens streams can make a flood of it (CVE-2023-44487); a server's resets are bounded by our requests.
    if (core.isServer && !core.closed && core.budgets.spendReset()) {
      core.fail(Http2ErrorCode.ENHANCE_YOUR_CALM, 'too many streams were reset');
    }
  }

  #settings(bytes: Uint8Array, offset: number, length: number): void {
    const core = this.#core;
    if ((this.#flags & FrameFlag.ACK) !== 0) {
      this.#settingsAck();
      return;
    }
    if (this.#settingsSeen) core.countIdleFrame();
    this.#settingsSeen = true;
    if (core.closed) return;
    const windowBefore = core.peer.windowInitialBytes;
    const error = core.peer.apply(bytes, offset, length, !core.isServer);
    if (error !== Http2ErrorCode.NO_ERROR) {
      core.fail(error, 'a setting out of its range');
      return;
    }
    if (!this.#moveSendWindows(core.peer.windowInitialBytes - windowBefore)) {
      core.fail(Http2ErrorCode.FLOW_CONTROL_ERROR, 'SETTINGS made a window overflow');
      return;
    }
    core.countAnswer();
    if (core.closed) return;
    core.control.settingsAck();
    core.handler.onSettings();
    core.serveWritable();
  }

  /** Every open stream, by the difference; below zero is allowed (section 6.9.2). False: above the largest window. */
  #moveSendWindows(deltaBytes: number): boolean {
    const core = this.#core;
    if (deltaBytes === 0) return true;
    for (const stream of core.streams.values()) {
      stream.sendWindowBytes += deltaBytes;
      if (stream.sendWindowBytes > WINDOW_MAX_BYTES) return false;
      core.windowOpened(stream);
    }
    return true;
  }

  /** From here on the peer goes by our initial window; streams that it opened before shrink if that is a small one. */
  #settingsAck(): void {
    const core = this.#core;
    if (core.settingsAcked) {
      core.countIdleFrame();
      return;
    }
    core.settingsAcked = true;
    this.#headers.settingsAcknowledged();
    const shrunkBytes = DEFAULT_WINDOW_BYTES - core.options.streamWindowInitialBytes;
    if (shrunkBytes <= 0) return;
    for (const stream of core.streams.values()) stream.receiveWindow.availableBytes -= shrunkBytes;
  }

  #ping(bytes: Uint8Array, offset: number): void {
    const core = this.#core;
    if ((this.#flags & FrameFlag.ACK) === 0) {
      core.countIdleFrame();
      if (!core.closed) core.countAnswer();
      if (!core.closed) core.control.ping(bytes, offset, true);
      return;
    }
    const opaque = bytes.slice(offset, offset + 8);
    const drainPing = this.#drainPing;
    if (drainPing?.every((byte, index) => byte === opaque[index])) {
      this.#drainPing = null;
      if (core.goawayLastId < 0) core.sendGoaway(Http2ErrorCode.NO_ERROR);
      core.draining = true;
      core.closeWhenDrained();
    } else if (this.#pingsOpen > 0) {
      this.#pingsOpen--;
      core.handler.onPong(opaque);
    } else {
      core.countIdleFrame();
    }
  }

  /** Streams above the last one that the peer takes were not acted on: they may be tried elsewhere (section 6.8). */
  #goaway(lastStreamId: number, errorCode: number): void {
    const core = this.#core;
    if (this.#goawaySeen) core.countIdleFrame();
    this.#goawaySeen = true;
    core.peerGoaway = true;
    if (!core.isServer) {
      for (const stream of [...core.streams.values()]) {
        if (stream.id <= lastStreamId) continue;
        const message = 'the peer goes away and did not take the stream';
        core.finishStream(stream, core.error(Http2ErrorCode.REFUSED_STREAM, message, 'safe'));
      }
    }
    if (core.closed) return;
    core.handler.onGoaway(lastStreamId, errorCode);
    core.draining = true;
    core.closeWhenDrained();
  }

  #windowUpdate(incrementBytes: number): void {
    const core = this.#core;
    const isConnection = this.#streamId === 0;
    const stream = isConnection ? null : core.streams.get(this.#streamId);
    core.countIdleFrame();
    if (core.closed || (!isConnection && stream === null)) return;
    const windowBytes = incrementBytes + (stream === null ? core.sendWindowBytes : stream.sendWindowBytes);
    if (incrementBytes === 0 || windowBytes > WINDOW_MAX_BYTES) {
      const errorCode = incrementBytes === 0 ? Http2ErrorCode.PROTOCOL_ERROR : Http2ErrorCode.FLOW_CONTROL_ERROR;
      const message = incrementBytes === 0 ? 'WINDOW_UPDATE of nothing' : 'WINDOW_UPDATE beyond the largest window';
      if (stream === null) core.fail(errorCode, message);
      else core.streamError(stream, errorCode, message);
      return;
    }
    if (stream === null) {
      core.sendWindowBytes = windowBytes;
    } else {
      stream.sendWindowBytes = windowBytes;
      core.windowOpened(stream);
    }
    core.serveWritable();
  }
}
