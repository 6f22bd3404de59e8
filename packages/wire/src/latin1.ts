/**
 * Latin1 text from bytes, for header names and values. Each way is the fastest one measured for its length;
 * `TextDecoder('latin1')` is windows-1252 by its standard and so of no use.
 */
const PLAIN_ARRAY_MAX_BYTES = 64;
const CHUNK_BYTES = 4096;
const ascii = new TextDecoder('utf-8', { ignoreBOM: true });

export function latin1(bytes: Uint8Array, offset: number, length: number): string {
  if (length === 0) return '';
  if (length <= PLAIN_ARRAY_MAX_BYTES) return fromCodes(bytes, offset, length);
  if (isAscii(bytes, offset, length)) return ascii.decode(bytes.subarray(offset, offset + length));
  let text = '';
  for (let done = 0; done < length; done += CHUNK_BYTES) {
    text += fromCodes(bytes, offset + done, Math.min(CHUNK_BYTES, length - done));
  }
  return text;
}

function fromCodes(bytes: Uint8Array, offset: number, length: number): string {
  const codes = new Array<number>(length);
  for (let i = 0; i < length; i += 1) codes[i] = bytes[offset + i]!;
  return String.fromCharCode.apply(null, codes);
}

function isAscii(bytes: Uint8Array, offset: number, length: number): boolean {
  let seen = 0;
  for (let i = 0; i < length; i += 1) seen |= bytes[offset + i]!;
  return seen < 0x80;
}
