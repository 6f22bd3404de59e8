/** What queries and answers of DNS have in common (RFC 1035 section 4), and reading them with `dns-packet`. */
import { Buffer } from 'node:buffer';
import { type DecodedPacket, decode } from 'dns-packet';

export const NOERROR = 0;
export const FORMERR = 1;
export const SERVFAIL = 2;
export const NXDOMAIN = 3;
export const NOTIMP = 4;

export const HEADER_BYTES = 12;
export const CLASS_IN = 1;

export const QR = 0x8000;
export const OPCODE_MASK = 0x7800;
export const AA = 0x0400;
export const TC = 0x0200;
export const RD = 0x0100;
export const RA = 0x0080;
export const CD = 0x0010;
export const RCODE_MASK = 0x000f;

/** A question about the root. Counts beyond what the bytes can hold cost `dns-packet` 512 KB each. */
const RECORD_BYTES_MIN = 5;

/** Null when a stranger's message is not one: `dns-packet` throws then, or has read on behind the end. */
export function decodeMessage(bytes: Uint8Array): DecodedPacket | null {
  if (bytes.length < HEADER_BYTES || countOfRecords(bytes) * RECORD_BYTES_MIN > bytes.length) return null;
  try {
    const packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    return decode.bytes > bytes.length ? null : packet;
  } catch {
    return null;
  }
}

/** Not `slice`, which copies nothing where a Buffer is given. */
export function copyBytes(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  return new Uint8Array(bytes.subarray(offset, offset + length));
}

function countOfRecords(bytes: Uint8Array): number {
  const header = viewOf(bytes, 0, HEADER_BYTES);
  return header.getUint16(4) + header.getUint16(6) + header.getUint16(8) + header.getUint16(10);
}

export function viewOf(bytes: Uint8Array, offset: number, length: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, length);
}
