/** Frame types, flags and the nine bytes before every frame (RFC 9113 sections 4.1 and 6). */
import { FRAME_HEADER_BYTES } from './types.ts';

export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

export const FrameFlag = {
  END_STREAM: 0x1,
  ACK: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

export const STREAM_ID_MAX = 0x7fffffff;
export const WINDOW_MAX_BYTES = 0x7fffffff;

/** What holds until SETTINGS say otherwise (section 6.5.2). */
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_SIZE_BYTES = 16_384;
export const FRAME_SIZE_LIMIT_BYTES = 0xffffff;

/** "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" (section 3.4). */
export const PREFACE: Uint8Array = Uint8Array.from(
  Array.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (character) => character.charCodeAt(0)),
);

export function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  writeUint32(out, at + FRAME_HEADER_BYTES - 4, streamId);
}

export function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) >>> 0;
}

/** Without the reserved bit, which a receiver ignores. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) & 0x7fffffff;
}

function readInt32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
