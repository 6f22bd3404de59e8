/**
 * The contract of the HTTP/2 engine (RFC 9113): sans-IO, synchronous, for both roles. Bytes come in through
 * `Http2Session.receive`, go out through `Http2Transport.write`, and everything that happens is a call on a handler.
 * Nothing a peer sends makes it throw: a broken stream is reset, a broken session says GOAWAY and is closed.
 */
import type { AmbitError } from '@ambit/base/errors';

/** Flat: name, value, name, value. Names are lower case; pseudo-headers come first. Values are latin1 text. */
export type HeaderList = readonly string[];

/** Size of a frame header. `sendData` writes it into the bytes before `offset`, so callers leave that much room. */
export const FRAME_HEADER_BYTES = 9;

export interface Http2Transport {
  /**
   * Takes all bytes before it returns (RFC 9113 frames, whole or in pieces); they may be overwritten afterwards. Does not
   * call the session back from inside.
   */
  write(bytes: Uint8Array, offset: number, length: number): void;
  /** Room below the transport's own mark. 0 stops DATA, not control frames; `transportWritable()` ends it. */
  writableBytes(): number;
}

/** Called by the session. `stream` objects keep their identity; `stream.context` is the owner's to use. */
export interface Http2Handler {
  /** A request (server) or a response, interim response or trailers. `stream.headersKind` tells which. */
  onHeaders(stream: Http2StreamLike, headers: HeaderList, endStream: boolean): void;
  /** Valid only during the call. The receiver gives credit back by `stream.consume(length)`, now or later. */
  onData(stream: Http2StreamLike, bytes: Uint8Array, offset: number, length: number): void;
  /** The peer's END_STREAM, after the last `onHeaders` or `onData`. Not told for a stream that was reset. */
  onEnd(stream: Http2StreamLike): void;
  /**
   * `sendableBytes()` was 0 and is not any longer. Only a 0 is remembered: who got less than it wants sends that much
   * and asks again. Streams are told in turn, so that none starves.
   */
  onWritable(stream: Http2StreamLike): void;
  /**
   * Last call for a stream: null when both sides ended, else why (code `HTTP2_<error name>`, side downstream|upstream).
   * It may come from inside `sendHeaders`, `sendData` and `reset`, when they end the stream.
   */
  onStreamClose(stream: Http2StreamLike, error: AmbitError | null): void;
  /** The peer's SETTINGS were applied (each time). */
  onSettings(): void;
  onPong(opaque: Uint8Array): void;
  /** The peer takes no streams above `lastStreamId`; those were closed with retry `safe`. */
  onGoaway(lastStreamId: number, errorCode: number): void;
  /** Last call of all: no more frames in or out. Null: drained after GOAWAY. The transport is the owner's to close. */
  onSessionClose(error: AmbitError | null): void;
}

export interface Http2StreamLike {
  readonly id: number;
  context: unknown;
  /** Valid inside `onHeaders`. */
  readonly headersKind: 'request' | 'response' | 'interim' | 'trailers';
  /** The peer's END_STREAM has been seen, or this side's sent. */
  readonly remoteEnded: boolean;
  readonly localEnded: boolean;
  readonly closed: boolean;
  sendHeaders(headers: HeaderList, endStream: boolean): void;
  /** Smallest of stream window, connection window and transport room; never negative. After a 0 comes `onWritable`. */
  sendableBytes(): number;
  /**
   * `length` is at most `sendableBytes()`; split into frames of the peer's size. Each frame's header overwrites the nine
   * bytes before its payload, so nothing is copied; with `offset` below nine the bytes are copied once instead.
   */
  sendData(bytes: Uint8Array, offset: number, length: number, endStream: boolean): void;
  /** Received bytes are done with: their credit returns to the peer, in few and large WINDOW_UPDATEs. */
  consume(length: number): void;
  /** RST_STREAM; `onStreamClose` follows at once. */
  reset(errorCode: number): void;
}

export interface Http2Options {
  readonly role: 'client' | 'server';
  /** SETTINGS_INITIAL_WINDOW_SIZE that is announced at first. */
  readonly streamWindowInitialBytes: number;
  /** A stream whose reader keeps up grows its window to this by larger WINDOW_UPDATEs. */
  readonly streamWindowMaxBytes: number;
  readonly connectionWindowBytes: number;
  readonly frameSizeMaxBytes: number;
  readonly headerListMaxBytes: number;
  /** What the peer may open at once; above it: REFUSED_STREAM. Client role: 0. */
  readonly concurrentStreamsMax: number;
  readonly headerTableMaxBytes: number;
  /** A header block may take this many CONTINUATIONs. */
  readonly continuationsMax: number;
  /** Milliseconds; for the budgets below. */
  readonly nowMs: () => number;
  /** Resets (the peer's, and ours that the peer provoked) in any 10 s window before GOAWAY(ENHANCE_YOUR_CALM). */
  readonly resetsPer10sMax: number;
  /** SETTINGS, PING, PRIORITY, empty DATA and WINDOW_UPDATE frames that carry no progress, likewise. */
  readonly idleFramesPer10sMax: number;
  /** Answers (SETTINGS ACK, PING ACK, RST_STREAM) owed while the transport has no room; above it the session ends. */
  readonly answersQueuedMax: number;
}

/** RFC 9113 section 7. */
export const Http2ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;
