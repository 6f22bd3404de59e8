/** SETTINGS: what this side announces, and what the peer's say (RFC 9113 section 6.5; RFC 8441 section 3; RFC 9218). */
import type { HpackEncoder } from '@ambit/wire/hpack';
import {
  DEFAULT_FRAME_SIZE_BYTES,
  DEFAULT_WINDOW_BYTES,
  FRAME_SIZE_LIMIT_BYTES,
  readUint32,
  WINDOW_MAX_BYTES,
  writeUint32,
} from './frames.ts';
import { Http2ErrorCode, type Http2Options } from './types.ts';

export const SettingId = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
  ENABLE_CONNECT_PROTOCOL: 0x8,
  NO_RFC7540_PRIORITIES: 0x9,
} as const;

export const SETTING_BYTES = 6;

export class PeerSettings {
  readonly #encoder: HpackEncoder;
  /** No limit until the peer names one. */
  concurrentStreamsMax = Number.POSITIVE_INFINITY;
  windowInitialBytes = DEFAULT_WINDOW_BYTES;
  frameSizeMaxBytes = DEFAULT_FRAME_SIZE_BYTES;

  constructor(encoder: HpackEncoder) {
    this.#encoder = encoder;
  }

  /** Applies a payload in order; NO_ERROR, or the connection error that it is. */
  apply(bytes: Uint8Array, offset: number, length: number, fromServer: boolean): number {
    for (let at = offset; at < offset + length; at += SETTING_BYTES) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const error = this.#applyOne(id, readUint32(bytes, at + 2), fromServer);
      if (error !== Http2ErrorCode.NO_ERROR) return error;
    }
    return Http2ErrorCode.NO_ERROR;
  }

  #applyOne(id: number, value: number, fromServer: boolean): number {
    switch (id) {
      case SettingId.HEADER_TABLE_SIZE:
        // Each one, also of several in a frame: the encoder must announce the smallest (RFC 7541 section 4.2).
        this.#encoder.setTableMax(value);
        break;
      case SettingId.ENABLE_PUSH:
        if (value > (fromServer ? 0 : 1)) return Http2ErrorCode.PROTOCOL_ERROR;
        break;
      case SettingId.MAX_CONCURRENT_STREAMS:
        this.concurrentStreamsMax = value;
        break;
      case SettingId.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX_BYTES) return Http2ErrorCode.FLOW_CONTROL_ERROR;
        this.windowInitialBytes = value;
        break;
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_SIZE_BYTES || value > FRAME_SIZE_LIMIT_BYTES) return Http2ErrorCode.PROTOCOL_ERROR;
        this.frameSizeMaxBytes = value;
        break;
      case SettingId.ENABLE_CONNECT_PROTOCOL:
      case SettingId.NO_RFC7540_PRIORITIES:
        if (value > 1) return Http2ErrorCode.PROTOCOL_ERROR;
        break;
      default: // MAX_HEADER_LIST_SIZE is advice, and unknown settings are ignored.
    }
    return Http2ErrorCode.NO_ERROR;
  }
}

/** The payload of this side's only SETTINGS frame. */
export function announcedSettings(options: Http2Options): Uint8Array {
  const entries: [id: number, value: number][] = [
    [SettingId.HEADER_TABLE_SIZE, options.headerTableMaxBytes],
    [SettingId.MAX_CONCURRENT_STREAMS, options.role === 'client' ? 0 : options.concurrentStreamsMax],
    [SettingId.INITIAL_WINDOW_SIZE, options.streamWindowInitialBytes],
    [SettingId.MAX_FRAME_SIZE, options.frameSizeMaxBytes],
    [SettingId.MAX_HEADER_LIST_SIZE, options.headerListMaxBytes],
  ];
  if (options.role === 'client') entries.push([SettingId.ENABLE_PUSH, 0]);
  const payload = new Uint8Array(entries.length * SETTING_BYTES);
  entries.forEach(([id, value], index) => {
    payload[index * SETTING_BYTES + 1] = id;
    writeUint32(payload, index * SETTING_BYTES + 2, value);
  });
  return payload;
}
