/** The peer's header blocks, and what they begin or end (RFC 9113 sections 4.3, 5.1.1, 6.2 and 8.1). */
import { HpackDecoder } from '@ambit/wire/hpack';
import { FrameFlag, readUint31 } from './frames.ts';
import { HeaderBlock } from './header-block.ts';
import { checkMessage, hasPseudoHeaders, type MessageFacts } from './header-validation.ts';
import { endRemote } from './inbound-data.ts';
import type { SessionCore } from './session-core.ts';
import type { Http2Stream } from './stream.ts';
import { type HeaderList, Http2ErrorCode } from './types.ts';

const NO_LENGTH = -1;
const NO_HEADERS: string[] = [];
const TOO_LARGE: HeaderList = [':status', '431'];

export class InboundHeaders {
  readonly #core: SessionCore;
  readonly #block: HeaderBlock;
  readonly #decoder: HpackDecoder;
  /** Streams opened since the transport last had room: their answers wait in it. */
  #openedWithoutRoom = 0;

  constructor(core: SessionCore) {
    this.#core = core;
    this.#block = new HeaderBlock(core.options);
    this.#decoder = new HpackDecoder(core.options.headerTableMaxBytes, core.options.headerListMaxBytes);
  }

  /** The peer has our SETTINGS, and with them the size of its table. */
  settingsAcknowledged(): void {
    this.#decoder.settingsAcknowledged();
  }

  /** Of the stream whose CONTINUATION has to come next; 0: none. */
  get expected(): number {
    return this.#block.streamId;
  }

  start(streamId: number, length: number): number {
    const core = this.#core;
    const { streams } = core;
    const known = streamId !== 0 && (!streams.isIdle(streamId) || streams.mayOpen(streamId));
    if (!known) return this.#refuse(Http2ErrorCode.PROTOCOL_ERROR, 'HEADERS on a stream that the peer cannot open');
    return this.#admit(length, false);
  }

  startContinuation(length: number): number {
    if (this.#block.streamId === 0) return this.#refuse(Http2ErrorCode.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    return this.#admit(length, true);
  }

  end(flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void {
    let at = offset;
    let end = offset + length;
    const padded = (flags & FrameFlag.PADDED) !== 0;
    const prioritized = (flags & FrameFlag.PRIORITY) !== 0;
    if (length < (padded ? 1 : 0) + (prioritized ? 5 : 0)) {
      this.#core.fail(Http2ErrorCode.FRAME_SIZE_ERROR, 'HEADERS shorter than its flags say');
      return;
    }
    if (padded) {
      end -= bytes[at] as number;
      at++;
    }
    this.#block.selfDependent = prioritized && readUint31(bytes, at) === streamId;
    if (prioritized) at += 5;
    if (end < at) {
      this.#core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'more padding than HEADERS');
      return;
    }
    this.#block.endStream = (flags & FrameFlag.END_STREAM) !== 0;
    this.#piece(flags, streamId, bytes, at, end - at);
  }

  endContinuation(flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void {
    this.#piece(flags, streamId, bytes, offset, length);
  }

  #refuse(errorCode: number, message: string): number {
    this.#core.fail(errorCode, message);
    return 0;
  }

  #admit(length: number, isContinuation: boolean): number {
    if (this.#block.admits(length, isContinuation)) return length;
    return this.#refuse(Http2ErrorCode.ENHANCE_YOUR_CALM, 'a header block beyond the limits');
  }

  #piece(flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void {
    if ((flags & FrameFlag.END_HEADERS) === 0) {
      this.#block.streamId = streamId;
      this.#block.append(bytes, offset, length);
      return;
    }
    this.#block.streamId = 0;
    const result = this.#block.decode(this.#decoder, bytes, offset, length);
    if (result === 'malformed') {
      this.#core.fail(Http2ErrorCode.COMPRESSION_ERROR, 'the header block does not decode');
      return;
    }
    const { headers } = this.#decoder;
    this.#decoder.headers = NO_HEADERS; // not kept for as long as the connection
    this.#message(streamId, result === 'ok' ? headers : null);
  }

  /** `headers` is null where the list is too large. */
  #message(streamId: number, headers: HeaderList | null): void {
    const core = this.#core;
    const stream = core.streams.get(streamId);
    if (stream !== null) {
      if (stream.remoteEnded) core.streamError(stream, Http2ErrorCode.STREAM_CLOSED, 'HEADERS after END_STREAM');
      else if (this.#block.selfDependent) core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'depends on itself');
      else if (headers === null) core.streamError(stream, Http2ErrorCode.CANCEL, 'the header list is too large');
      else if (core.isServer || stream.messageSeen) this.#trailers(stream, headers);
      else this.#response(stream, headers);
    } else if (core.streams.mayOpen(streamId)) {
      this.#request(streamId, headers);
    } else if (core.streams.wasEnded(streamId)) {
      core.fail(Http2ErrorCode.STREAM_CLOSED, 'HEADERS after the end');
    } else if (core.isServer && headers !== null && hasPseudoHeaders(headers)) {
      core.fail(Http2ErrorCode.PROTOCOL_ERROR, 'a request on an id below the last');
    } else {
      core.countIdleFrame();
    }
  }

  #request(streamId: number, headers: HeaderList | null): void {
    const core = this.#core;
    const { endStream, selfDependent } = this.#block;
    core.streams.lastId = streamId;
    if (core.goawayLastId >= 0) {
      core.countIdleFrame();
      return;
    }
    if (!this.#hasCapacity()) {
      core.rejectStream(streamId, Http2ErrorCode.REFUSED_STREAM);
      return;
    }
    if (headers === null) {
      this.#answerTooLarge(streamId, endStream);
      return;
    }
    const facts = checkMessage(headers, 'request');
    if (facts === null || selfDependent) {
      core.rejectStream(streamId, Http2ErrorCode.PROTOCOL_ERROR);
      return;
    }
    const isConnect = facts.method === 'CONNECT';
    const contentLengthBytes = isConnect ? NO_LENGTH : facts.contentLengthBytes;
    if (endStream && contentLengthBytes > 0) {
      core.rejectStream(streamId, Http2ErrorCode.PROTOCOL_ERROR);
      return;
    }
    const stream = core.addStream(streamId);
    stream.isConnect = isConnect;
    stream.contentLengthBytes = contentLengthBytes;
    stream.messageSeen = true;
    this.#deliver(stream, 'request', headers, endStream);
  }

  /** The stream cap; and as many again while the transport is full, or answers would pile up in it without bound. */
  #hasCapacity(): boolean {
    const core = this.#core;
    this.#openedWithoutRoom = core.hasRoom() ? 0 : this.#openedWithoutRoom + 1;
    const max = core.options.concurrentStreamsMax;
    return core.streams.size < max && this.#openedWithoutRoom <= max;
  }

  /** Section 10.5.1 and RFC 6585 section 5: the one answer that the session gives by itself. */
  #answerTooLarge(streamId: number, endStream: boolean): void {
    const core = this.#core;
    core.writeHeaders(streamId, TOO_LARGE, true);
    if (endStream) {
      core.streams.noteEnded(streamId);
      core.countProvokedReset();
    } else {
      core.rejectStream(streamId, Http2ErrorCode.NO_ERROR);
    }
  }

  #response(stream: Http2Stream, headers: HeaderList): void {
    const core = this.#core;
    const { endStream } = this.#block;
    const facts = checkMessage(headers, 'response');
    if (facts === null) {
      core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'a malformed response');
      return;
    }
    if (facts.status < 200) {
      if (endStream) {
        core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'interim response at the end');
        return;
      }
      core.countIdleFrame();
      if (!core.closed) this.#deliver(stream, 'interim', headers, false);
      return;
    }
    stream.messageSeen = true;
    stream.contentLengthBytes = responseLength(stream, facts);
    if (endStream && stream.contentLengthBytes > 0) {
      core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'less DATA than content-length announced');
      return;
    }
    stream.isConnect = stream.isConnect && isSuccess(facts.status);
    this.#deliver(stream, 'response', headers, endStream);
  }

  /** A tunnel has none (section 8.5). */
  #trailers(stream: Http2Stream, headers: HeaderList): void {
    const core = this.#core;
    if (!this.#block.endStream || stream.isConnect || checkMessage(headers, 'trailers') === null) {
      core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'malformed trailers');
      return;
    }
    if (stream.contentLengthBytes >= 0 && stream.contentBytes !== stream.contentLengthBytes) {
      core.streamError(stream, Http2ErrorCode.PROTOCOL_ERROR, 'less DATA than content-length announced');
      return;
    }
    this.#deliver(stream, 'trailers', headers, true);
  }

  #deliver(stream: Http2Stream, kind: Http2Stream['headersKind'], headers: HeaderList, endStream: boolean): void {
    stream.headersKind = kind;
    stream.remoteEnded = endStream;
    stream.endBegun = endStream;
    this.#core.handler.onHeaders(stream, headers, endStream);
    if (endStream && !stream.closed) endRemote(this.#core, stream);
  }
}

/** Responses that have no content may still announce what there would be (RFC 9110 section 8.6). */
function responseLength(stream: Http2Stream, facts: MessageFacts): number {
  if (stream.isHead || facts.status === 204 || facts.status === 304) return 0;
  return stream.isConnect && isSuccess(facts.status) ? NO_LENGTH : facts.contentLengthBytes;
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
