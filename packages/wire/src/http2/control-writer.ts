/**
 * Every frame but DATA, gathered in one buffer and written once per turn. DATA goes straight to the transport
 * (stream.ts); only HEADERS have to be out before it, so WINDOW_UPDATEs and answers wait for the end of the turn.
 */
import type { HpackEncoder } from '@ambit/wire/hpack';
import { FrameFlag, FrameType, PREFACE, writeFrameHeader, writeUint32 } from './frames.ts';
import { CONTROL_BUFFER_BYTES, CONTROL_BUFFERS_KEPT, CONTROL_FLUSH_BYTES } from './limits.ts';
import { FRAME_HEADER_BYTES, type HeaderList, type Http2Transport } from './types.ts';

const EMPTY = new Uint8Array(0);
/** Of the process: a session holds a buffer only from its first frame of a turn until they are written. */
const spare: Uint8Array[] = [];

export class ControlWriter {
  readonly #transport: Http2Transport;
  #buffer: Uint8Array = EMPTY;
  #headersWaiting = false;
  /** Bytes gathered and not written. */
  length = 0;

  constructor(transport: Http2Transport) {
    this.#transport = transport;
  }

  preface(): void {
    this.#reserve(PREFACE.length).set(PREFACE, this.length);
    this.length += PREFACE.length;
  }

  settings(payload: Uint8Array): void {
    const at = this.#frame(payload.length, FrameType.SETTINGS, 0, 0);
    this.#buffer.set(payload, at);
  }

  settingsAck(): void {
    this.#frame(0, FrameType.SETTINGS, FrameFlag.ACK, 0);
  }

  ping(opaque: Uint8Array, offset: number, ack: boolean): void {
    const at = this.#frame(8, FrameType.PING, ack ? FrameFlag.ACK : 0, 0);
    for (let i = 0; i < 8; i++) this.#buffer[at + i] = opaque[offset + i] as number;
  }

  goaway(lastStreamId: number, errorCode: number): void {
    const at = this.#frame(8, FrameType.GOAWAY, 0, 0);
    writeUint32(this.#buffer, at, lastStreamId);
    writeUint32(this.#buffer, at + 4, errorCode);
  }

  rstStream(streamId: number, errorCode: number): void {
    writeUint32(this.#reserveFrame(4, FrameType.RST_STREAM, streamId), this.length - 4, errorCode);
  }

  windowUpdate(streamId: number, incrementBytes: number): void {
    writeUint32(this.#reserveFrame(4, FrameType.WINDOW_UPDATE, streamId), this.length - 4, incrementBytes);
  }

  /** The END_STREAM of a stream that has no more bytes. */
  emptyData(streamId: number): void {
    this.#frame(0, FrameType.DATA, FrameFlag.END_STREAM, streamId);
  }

  headers(
    encoder: HpackEncoder,
    streamId: number,
    headers: HeaderList,
    endStream: boolean,
    frameSizeMaxBytes: number,
  ): void {
    const blockMaxBytes = encoder.encodedMaxBytes(headers);
    const continuationsMax = Math.ceil(blockMaxBytes / frameSizeMaxBytes);
    const out = this.#reserve(blockMaxBytes + (1 + continuationsMax) * FRAME_HEADER_BYTES);
    const start = this.length;
    const blockBytes = encoder.encode(headers, out, start + FRAME_HEADER_BYTES);
    const flags = endStream ? FrameFlag.END_STREAM : 0;
    if (blockBytes <= frameSizeMaxBytes) {
      writeFrameHeader(out, start, blockBytes, FrameType.HEADERS, flags | FrameFlag.END_HEADERS, streamId);
      this.length = start + FRAME_HEADER_BYTES + blockBytes;
    } else {
      this.length = splitBlock(out, start, blockBytes, flags, streamId, frameSizeMaxBytes);
    }
    this.#headersWaiting = true;
  }

  /** Before a DATA frame. */
  flushHeaders(): void {
    if (this.#headersWaiting) this.flush();
  }

  flush(): void {
    if (this.length === 0) return;
    const buffer = this.#buffer;
    const length = this.length;
    this.length = 0;
    this.#headersWaiting = false;
    this.#buffer = EMPTY;
    this.#transport.write(buffer, 0, length);
    putBack(buffer);
  }

  discard(): void {
    const buffer = this.#buffer;
    this.length = 0;
    this.#buffer = EMPTY;
    putBack(buffer);
  }

  /** Writes the header and returns where the payload goes. */
  #frame(payloadBytes: number, type: number, flags: number, streamId: number): number {
    const out = this.#reserve(FRAME_HEADER_BYTES + payloadBytes);
    writeFrameHeader(out, this.length, payloadBytes, type, flags, streamId);
    this.length += FRAME_HEADER_BYTES + payloadBytes;
    return this.length - payloadBytes;
  }

  #reserveFrame(payloadBytes: number, type: number, streamId: number): Uint8Array {
    this.#frame(payloadBytes, type, 0, streamId);
    return this.#buffer;
  }

  #reserve(bytes: number): Uint8Array {
    if (this.length >= CONTROL_FLUSH_BYTES) this.flush();
    const needed = this.length + bytes;
    if (this.#buffer === EMPTY) this.#buffer = spare.pop() ?? new Uint8Array(CONTROL_BUFFER_BYTES);
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
      grown.set(this.#buffer.subarray(0, this.length));
      this.#buffer = grown;
    }
    return this.#buffer;
  }
}

/** Not those that grew for large headers. */
function putBack(buffer: Uint8Array): void {
  if (buffer.length === CONTROL_BUFFER_BYTES && spare.length < CONTROL_BUFFERS_KEPT) spare.push(buffer);
}

/** Makes room for the headers of CONTINUATIONs inside an encoded block, last piece first. Returns the end. */
function splitBlock(
  out: Uint8Array,
  start: number,
  blockBytes: number,
  flags: number,
  streamId: number,
  frameSizeMaxBytes: number,
): number {
  const blockStart = start + FRAME_HEADER_BYTES;
  const last = Math.ceil(blockBytes / frameSizeMaxBytes) - 1;
  for (let index = last; index >= 0; index--) {
    const pieceStart = blockStart + index * frameSizeMaxBytes;
    const pieceBytes = Math.min(frameSizeMaxBytes, blockBytes - index * frameSizeMaxBytes);
    const at = pieceStart + index * FRAME_HEADER_BYTES;
    out.copyWithin(at, pieceStart, pieceStart + pieceBytes);
    const type = index === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    const pieceFlags = (index === 0 ? flags : 0) | (index === last ? FrameFlag.END_HEADERS : 0);
    writeFrameHeader(out, at - FRAME_HEADER_BYTES, pieceBytes, type, pieceFlags, streamId);
  }
  return blockStart + blockBytes + last * FRAME_HEADER_BYTES;
}
