/** For tests only: a peer made of raw frames, and two sessions joined by a link that cuts and joins bytes at random. */
import type { AmbitError } from '@ambit/base/errors';
import { type Rng, seededRng } from '@ambit/base/rng';
import { HpackEncoder } from '@ambit/wire/hpack';
import { FrameFlag, FrameType, PREFACE, readUint31, writeFrameHeader, writeUint32 } from './frames.ts';
import { Http2Session } from './session.ts';
import {
  FRAME_HEADER_BYTES,
  type HeaderList,
  type Http2Handler,
  type Http2Options,
  type Http2StreamLike,
  type Http2Transport,
} from './types.ts';

export function testOptions(role: 'client' | 'server', overrides: Partial<Http2Options> = {}): Http2Options {
  return {
    role,
    streamWindowInitialBytes: 65_535,
    streamWindowMaxBytes: 262_144,
    connectionWindowBytes: 1_048_576,
    frameSizeMaxBytes: 16_384,
    headerListMaxBytes: 16_384,
    concurrentStreamsMax: role === 'server' ? 200 : 0,
    headerTableMaxBytes: 4096,
    continuationsMax: 8,
    nowMs: () => 0,
    resetsPer10sMax: 100,
    idleFramesPer10sMax: 100,
    answersQueuedMax: 100,
    ...overrides,
  };
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

export function frame(type: number, flags: number, streamId: number, payload: ArrayLike<number> = []): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(bytes, 0, payload.length, type, flags, streamId);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export function uint32(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  values.forEach((value, index) => {
    writeUint32(bytes, 4 * index, value);
  });
  return bytes;
}

export function setting(id: number, value: number): Uint8Array {
  return concat([0, id], uint32(value));
}

export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function concat(...parts: ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function parseFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; ) {
    const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    const start = at + FRAME_HEADER_BYTES;
    frames.push({
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      streamId: readUint31(bytes, at + 5),
      payload: bytes.subarray(start, start + length),
    });
    at = start + length;
  }
  return frames;
}

/** Keeps what was written; `roomBytes` falls with every write, as a transport's room does. */
export class TestTransport implements Http2Transport {
  roomBytes = Number.MAX_SAFE_INTEGER;
  writes: Uint8Array[] = [];

  write(bytes: Uint8Array, offset: number, length: number): void {
    if (offset < 0 || length <= 0 || offset + length > bytes.length) throw new Error('a write outside of its bytes');
    this.writes.push(bytes.slice(offset, offset + length));
    this.roomBytes -= length;
  }

  writableBytes(): number {
    return Math.max(0, this.roomBytes);
  }

  take(): Uint8Array {
    const bytes = concat(...this.writes);
    this.writes = [];
    return bytes;
  }
}

/** Writes down what happened, one line each; the hooks let a test take part. */
export class Recorder implements Http2Handler {
  readonly events: string[] = [];
  closeError: AmbitError | null | undefined = undefined;
  lastStream: Http2StreamLike | null = null;
  consumes = true;
  headersHook: (stream: Http2StreamLike, headers: HeaderList, endStream: boolean) => void = () => {};
  dataHook: (stream: Http2StreamLike, bytes: Uint8Array, offset: number, length: number) => void = () => {};
  endHook: (stream: Http2StreamLike) => void = () => {};
  writableHook: (stream: Http2StreamLike) => void = () => {};
  closeHook: (stream: Http2StreamLike, error: AmbitError | null) => void = () => {};

  onHeaders(stream: Http2StreamLike, headers: HeaderList, endStream: boolean): void {
    this.lastStream = stream;
    this.events.push(`${stream.headersKind} ${stream.id} ${headers.join(' ')}${endStream ? ' end' : ''}`);
    this.headersHook(stream, headers, endStream);
  }

  onData(stream: Http2StreamLike, bytes: Uint8Array, offset: number, length: number): void {
    this.events.push(`data ${stream.id} ${length}`);
    this.dataHook(stream, bytes, offset, length);
    if (this.consumes) stream.consume(length);
  }

  onEnd(stream: Http2StreamLike): void {
    this.events.push(`end ${stream.id}`);
    this.endHook(stream);
  }

  onWritable(stream: Http2StreamLike): void {
    this.events.push(`writable ${stream.id}`);
    this.writableHook(stream);
  }

  onStreamClose(stream: Http2StreamLike, error: AmbitError | null): void {
    this.events.push(`close ${stream.id} ${error === null ? 'clean' : `${error.code} ${error.retry}`}`);
    this.closeHook(stream, error);
  }

  onSettings(): void {
    this.events.push('settings');
  }

  onPong(opaque: Uint8Array): void {
    this.events.push(`pong ${opaque.join(' ')}`);
  }

  onGoaway(lastStreamId: number, errorCode: number): void {
    this.events.push(`goaway ${lastStreamId} ${errorCode}`);
  }

  onSessionClose(error: AmbitError | null): void {
    this.closeError = error;
    this.events.push(`session ${error === null ? 'drained' : error.code}`);
  }
}

/** One session against frames written by hand. */
export class RawPeer {
  readonly transport = new TestTransport();
  readonly handler = new Recorder();
  readonly encoder = new HpackEncoder();
  readonly session: Http2Session;

  constructor(role: 'client' | 'server', overrides: Partial<Http2Options> = {}) {
    this.session = new Http2Session(testOptions(role, overrides), this.transport, this.handler);
    this.session.start();
  }

  /** Preface and SETTINGS, acknowledged both ways. */
  static connected(role: 'client' | 'server', overrides: Partial<Http2Options> = {}): RawPeer {
    const peer = new RawPeer(role, overrides);
    if (role === 'server') peer.feed(PREFACE);
    peer.feed(frame(FrameType.SETTINGS, 0, 0), frame(FrameType.SETTINGS, FrameFlag.ACK, 0));
    peer.transport.take();
    peer.handler.events.length = 0;
    return peer;
  }

  feed(...parts: ArrayLike<number>[]): Frame[] {
    const bytes = concat(...parts);
    this.session.receive(bytes, 0, bytes.length);
    return parseFrames(this.transport.take());
  }

  block(headers: HeaderList): Uint8Array {
    const out = new Uint8Array(this.encoder.encodedMaxBytes(headers));
    return out.subarray(0, this.encoder.encode(headers, out, 0));
  }

  headers(streamId: number, headers: HeaderList, endStream = false): Uint8Array {
    const flags = FrameFlag.END_HEADERS | (endStream ? FrameFlag.END_STREAM : 0);
    return frame(FrameType.HEADERS, flags, streamId, this.block(headers));
  }
}

/** "RST_STREAM 1 PROTOCOL_ERROR"-like lines of what a session wrote, without SETTINGS. */
export function describe(frames: Frame[]): string[] {
  const names = Object.entries(FrameType);
  return frames.map(({ type, flags, streamId, payload }) => {
    const name = names.find((entry) => entry[1] === type)?.[0] ?? String(type);
    if (type === FrameType.RST_STREAM) return `${name} ${streamId} ${payload[3]}`;
    if (type === FrameType.GOAWAY) return `${name} ${readUint31(payload, 0)} ${payload[7]}`;
    if (type === FrameType.WINDOW_UPDATE) return `${name} ${streamId} ${readUint31(payload, 0)}`;
    return `${name} ${streamId} ${flags}`;
  });
}

const HEADROOM_BYTES = 16;

/** Client and server, joined by bytes that arrive in pieces of any size, in an order that the seed decides. */
export class Link {
  readonly rng: Rng;
  readonly client: Http2Session;
  readonly server: Http2Session;
  readonly clientHandler = new Recorder();
  readonly serverHandler = new Recorder();
  readonly clientTransport = new TestTransport();
  readonly serverTransport = new TestTransport();
  #toServer: Uint8Array = new Uint8Array(0);
  #toClient: Uint8Array = new Uint8Array(0);

  constructor(seed: number, clientOptions: Partial<Http2Options> = {}, serverOptions: Partial<Http2Options> = {}) {
    this.rng = seededRng(seed);
    this.client = new Http2Session(testOptions('client', clientOptions), this.clientTransport, this.clientHandler);
    this.server = new Http2Session(testOptions('server', serverOptions), this.serverTransport, this.serverHandler);
    this.client.start();
    this.server.start();
  }

  /** Until nothing is under way. `pieceMaxBytes` bounds a piece, `roomBytes` what a transport holds before it is full. */
  run(pieceMaxBytes: number, roomBytes = Number.MAX_SAFE_INTEGER): void {
    for (let turns = 0; turns < 10_000_000; turns++) {
      this.#toServer = concat(this.#toServer, this.clientTransport.take());
      this.#toClient = concat(this.#toClient, this.serverTransport.take());
      if (this.#toServer.length === 0 && this.#toClient.length === 0) return;
      const up = this.#toClient.length === 0 || (this.#toServer.length > 0 && this.rng.integer(2) === 0);
      if (up) this.#toServer = this.#deliver(this.#toServer, this.server, pieceMaxBytes);
      else this.#toClient = this.#deliver(this.#toClient, this.client, pieceMaxBytes);
      this.clientTransport.roomBytes = roomBytes - this.#toServer.length;
      this.serverTransport.roomBytes = roomBytes - this.#toClient.length;
      if (this.clientTransport.roomBytes > 0) this.client.transportWritable();
      if (this.serverTransport.roomBytes > 0) this.server.transportWritable();
    }
    throw new Error('the link does not come to rest');
  }

  /** What was handed in is overwritten afterwards, so whoever kept a view of it is found out. */
  #deliver(bytes: Uint8Array, session: Http2Session, pieceMaxBytes: number): Uint8Array {
    const length = Math.min(bytes.length, 1 + this.rng.integer(pieceMaxBytes));
    const view = new Uint8Array(HEADROOM_BYTES + length);
    view.set(bytes.subarray(0, length), HEADROOM_BYTES);
    session.receive(view, HEADROOM_BYTES, length);
    view.fill(0xdd);
    return bytes.subarray(length);
  }
}
