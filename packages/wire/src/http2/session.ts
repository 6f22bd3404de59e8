/**
 * One HTTP/2 connection, either role (RFC 9113): the owner's calls. A turn is one call from outside; control frames are
 * written once at its end.
 */
import { assert } from '@ambit/base/assert';
import type { AmbitError } from '@ambit/base/errors';
import { FrameReader } from './frame-reader.ts';
import {
  DEFAULT_FRAME_SIZE_BYTES,
  DEFAULT_WINDOW_BYTES,
  FRAME_SIZE_LIMIT_BYTES,
  PREFACE,
  STREAM_ID_MAX,
  WINDOW_MAX_BYTES,
} from './frames.ts';
import { InboundFrames } from './inbound-frames.ts';
import { SessionCore } from './session-core.ts';
import { announcedSettings } from './settings.ts';
import type { Http2Stream } from './stream.ts';
import { type HeaderList, Http2ErrorCode, type Http2Handler, type Http2Options, type Http2Transport } from './types.ts';

/** The PING that follows the first GOAWAY of a drain. */
const DRAIN_PING = Uint8Array.from([0x61, 0x6d, 0x62, 0x69, 0x74, 0x65, 0x6e, 0x64]);

export class Http2Session {
  readonly #core: SessionCore;
  readonly #frames: InboundFrames;
  readonly #reader: FrameReader;
  #prefaceDue: number;
  #started = false;
  /** A handler threw: what the peer says cannot be followed any more, only `close` is left. */
  #broken = false;
  #drainStarted = false;

  constructor(options: Http2Options, transport: Http2Transport, handler: Http2Handler) {
    checkOptions(options);
    this.#core = new SessionCore(options, transport, handler);
    this.#frames = new InboundFrames(this.#core);
    this.#reader = new FrameReader(this.#frames);
    this.#prefaceDue = this.#core.isServer ? PREFACE.length : 0;
  }

  get activeStreams(): number {
    return this.#core.streams.size;
  }

  /** Infinity until the peer names a limit. */
  get peerConcurrentStreamsMax(): number {
    return this.#core.peer.concurrentStreamsMax;
  }

  get closed(): boolean {
    return this.#core.closed;
  }

  /** Either side said GOAWAY: `openStream` gives null, and streams that run may end. */
  get goingAway(): boolean {
    return this.#core.peerGoaway || this.#core.goawayLastId >= 0 || this.#drainStarted;
  }

  /** The preface, SETTINGS and the connection's window. Once, before anything else. */
  start(): void {
    assert(!this.#started, 'a session starts once');
    this.#started = true;
    const { control, options, isServer } = this.#core;
    if (!isServer) control.preface();
    control.settings(announcedSettings(options));
    const increment = this.#core.receiveWindow.sizeBytes - DEFAULT_WINDOW_BYTES;
    if (increment > 0) control.windowUpdate(0, increment);
    this.#core.endTurn();
  }

  receive(bytes: Uint8Array, offset: number, length: number): void {
    const core = this.#core;
    if (core.closed || this.#broken) return;
    assert(this.#started && !core.inTurn, 'bytes are received after the start, and not from inside a callback');
    core.inTurn = true;
    let whole = false;
    try {
      const prefaceBytes = this.#prefaceDue > 0 ? this.#takePreface(bytes, offset, length) : 0;
      this.#reader.read(bytes, offset + prefaceBytes, length - prefaceBytes);
      whole = true;
    } finally {
      core.inTurn = false;
      this.#broken = !whole;
    }
    core.endTurn();
  }

  /** The transport has room again. */
  transportWritable(): void {
    const core = this.#core;
    if (core.closed || this.#broken) return;
    core.budgets.answersTaken();
    core.serveWritable();
    core.endTurn();
  }

  /** Null: the peer takes no more streams now, or not at all any more, or the ids are used up. */
  openStream(headers: HeaderList, endStream: boolean): Http2Stream | null {
    const core = this.#core;
    assert(this.#started && !core.isServer, 'streams are opened by a client that was started');
    const id = core.streams.lastId === 0 ? 1 : core.streams.lastId + 2;
    if (core.closed || this.goingAway || id > STREAM_ID_MAX) return null;
    if (core.streams.size >= core.peer.concurrentStreamsMax) return null;
    const stream = core.addStream(id);
    const method = headers[headers.indexOf(':method') + 1];
    stream.isHead = method === 'HEAD';
    stream.isConnect = method === 'CONNECT';
    stream.sendHeaders(headers, endStream);
    return stream;
  }

  /** Eight bytes, which `onPong` gives back. */
  ping(opaque: Uint8Array): void {
    assert(opaque.length === 8, 'a PING carries eight bytes');
    if (this.#core.closed) return;
    this.#frames.pingSent();
    this.#core.control.ping(opaque, 0, false);
    this.#core.endTurn();
  }

  /**
   * At once: streams that the peer opens from now on are not served. With NO_ERROR those that run may end, and the
   * session closes after the last; any other code closes it now.
   */
  goaway(errorCode: number): void {
    const core = this.#core;
    if (core.closed) return;
    if (errorCode !== Http2ErrorCode.NO_ERROR) {
      core.fail(errorCode, 'this side ended the session');
      return;
    }
    core.sendGoaway(errorCode);
    core.draining = true;
    core.closeWhenDrained();
    core.endTurn();
  }

  /**
   * Without losing a stream that is under way (section 6.8): the first GOAWAY names no last stream; the second does,
   * once a PING has shown that the peer has seen the first. A client knows what it opened and needs one only.
   */
  drain(): void {
    const core = this.#core;
    if (core.closed || this.#drainStarted || core.goawayLastId >= 0) return;
    if (!core.isServer) {
      this.goaway(Http2ErrorCode.NO_ERROR);
      return;
    }
    this.#drainStarted = true;
    core.control.goaway(STREAM_ID_MAX, Http2ErrorCode.NO_ERROR);
    core.control.ping(DRAIN_PING, 0, false);
    this.#frames.drainPingSent(DRAIN_PING);
    core.endTurn();
  }

  /** Without a word to the peer, as when the transport is gone. */
  close(error: AmbitError | null): void {
    this.#core.close(error);
  }

  /** Returns how many of these bytes belong to the client's preface. */
  #takePreface(bytes: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(this.#prefaceDue, length);
    const start = PREFACE.length - this.#prefaceDue;
    for (let i = 0; i < taken; i++) {
      if (bytes[offset + i] === PREFACE[start + i]) continue;
      this.#core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'the peer does not speak HTTP/2');
      return length;
    }
    this.#prefaceDue -= taken;
    return taken;
  }
}

function checkOptions(options: Http2Options): void {
  const { streamWindowInitialBytes, streamWindowMaxBytes, connectionWindowBytes, frameSizeMaxBytes } = options;
  assert(streamWindowInitialBytes > 0 && streamWindowInitialBytes <= WINDOW_MAX_BYTES, 'streamWindowInitialBytes');
  assert(streamWindowMaxBytes <= WINDOW_MAX_BYTES, 'streamWindowMaxBytes');
  assert(connectionWindowBytes <= WINDOW_MAX_BYTES, 'connectionWindowBytes');
  assert(
    frameSizeMaxBytes >= DEFAULT_FRAME_SIZE_BYTES && frameSizeMaxBytes <= FRAME_SIZE_LIMIT_BYTES,
    'frameSizeMaxBytes is from 16384 to 16777215',
  );
}
