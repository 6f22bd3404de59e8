/**
 * Encodes the header blocks of one connection, in order (RFC 7541 section 6). What repeats from message to message is
 * indexed; what never does, or must not be guessable through its compressed size (section 7.1), is not.
 */
import { assert } from '@ambit/base/assert';
import {
  HPACK_ENCODER_TABLE_MAX_BYTES,
  HPACK_SAME_NAME_SEARCH_MAX,
  HPACK_SHORT_SECRET_BYTES,
  HPACK_TABLE_DEFAULT_BYTES,
} from '../limits.ts';
import { DynamicTable, entryBytes } from './dynamic-table.ts';
import { huffmanEncode, huffmanEncodedBytes, latin1CodeAt } from './huffman.ts';
import { STATIC_COUNT, STATIC_FIRST, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

/** Bytes an integer of at most 2^28 takes, and so of a string before its text, or of a size update. */
const INTEGER_MAX_BYTES = 6;

const NEVER_INDEXED: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);

/** Different in nearly every message: an entry of its own would only push out those that repeat. */
const NOT_WORTH_INDEXING: ReadonlySet<string> = new Set([
  ':path',
  'age',
  'b3',
  'content-length',
  'etag',
  'forwarded',
  'if-modified-since',
  'if-none-match',
  'location',
  'set-cookie',
  'traceparent',
  'x-b3-spanid',
  'x-b3-traceid',
  'x-request-id',
]);

export class HpackEncoder {
  readonly #table = new DynamicTable(HPACK_TABLE_DEFAULT_BYTES);
  /** Name to its newest entry, from which the table's links lead to the older ones. Holds living entries only. */
  readonly #newest = new Map<string, number>();
  /** What the next block must announce: the final size and the smallest one on the way to it (section 4.2). */
  #nextMaxBytes = HPACK_TABLE_DEFAULT_BYTES;
  #smallestMaxBytes = HPACK_TABLE_DEFAULT_BYTES;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; takes effect, and is told to the peer, with the next block. */
  setTableMax(bytes: number): void {
    this.#nextMaxBytes = Math.min(bytes, HPACK_ENCODER_TABLE_MAX_BYTES);
    this.#smallestMaxBytes = Math.min(this.#smallestMaxBytes, this.#nextMaxBytes);
  }

  /** Worst case of what `encode` may write for these headers. */
  encodedMaxBytes(headers: readonly string[]): number {
    let bytes = 2 * INTEGER_MAX_BYTES;
    // Each field: the representation's own octet, then for each string its length and its text.
    for (const text of headers) bytes += text.length + INTEGER_MAX_BYTES + 1;
    return bytes;
  }

  /** Flat name, value list; `out` has room for `encodedMaxBytes` from `offset`. Returns the bytes written. */
  encode(headers: readonly string[], out: Uint8Array, offset: number): number {
    assert(headers.length % 2 === 0, 'headers come in pairs');
    let at = this.#sizeUpdates(out, offset);
    for (let i = 0; i < headers.length; i += 2) at = this.#field(headers[i]!, headers[i + 1]!, out, at);
    assert(at <= out.length, 'the header block fits into its buffer');
    return at - offset;
  }

  #sizeUpdates(out: Uint8Array, start: number): number {
    let at = start;
    if (this.#smallestMaxBytes < this.#table.maxBytes) at = this.#resize(this.#smallestMaxBytes, out, at);
    if (this.#nextMaxBytes !== this.#table.maxBytes) at = this.#resize(this.#nextMaxBytes, out, at);
    this.#smallestMaxBytes = this.#nextMaxBytes;
    return at;
  }

  #resize(maxBytes: number, out: Uint8Array, at: number): number {
    this.#table.maxBytes = maxBytes;
    this.#evictTo(maxBytes);
    return writeInteger(maxBytes, 0x20, 0x1f, out, at);
  }

  #field(name: string, value: string, out: Uint8Array, at: number): number {
    const table = this.#table;
    const staticIndex = STATIC_FIRST.get(name) ?? 0;
    const newest = this.#newest.get(name) ?? -1;
    const nameIndex = staticIndex > 0 || newest < 0 ? staticIndex : STATIC_COUNT + table.insertedCount - newest;
    if (NEVER_INDEXED.has(name) || (name === 'set-cookie' && value.length < HPACK_SHORT_SECRET_BYTES)) {
      return writeLiteral(0x10, 0x0f, nameIndex, name, value, out, at);
    }
    const index = this.#indexOf(name, value, staticIndex, newest);
    if (index > 0) return writeInteger(index, 0x80, 0x7f, out, at);
    const size = entryBytes(name.length, value.length);
    // An entry of nearly the whole table would push out all others.
    if (NOT_WORTH_INDEXING.has(name) || size > table.maxBytes * 0.75) {
      return writeLiteral(0x00, 0x0f, nameIndex, name, value, out, at);
    }
    const end = writeLiteral(0x40, 0x3f, nameIndex, name, value, out, at);
    this.#evictTo(table.maxBytes - size);
    table.insert(name, value, newest);
    this.#newest.set(name, table.insertedCount - 1);
    return end;
  }

  /** Of an entry with this name and value; 0 if there is none, or none within the search limit. */
  #indexOf(name: string, value: string, staticIndex: number, newest: number): number {
    for (let index = staticIndex; index > 0 && STATIC_NAMES[index] === name; index += 1) {
      if (STATIC_VALUES[index] === value) return index;
    }
    const table = this.#table;
    let sequence = newest;
    for (let i = 0; i < HPACK_SAME_NAME_SEARCH_MAX && sequence >= table.evictedCount; i += 1) {
      if (table.valueAt(sequence) === value) return STATIC_COUNT + table.insertedCount - sequence;
      sequence = table.linkAt(sequence);
    }
    return 0;
  }

  #evictTo(bytes: number): void {
    const table = this.#table;
    while (table.bytes > bytes && table.evictedCount < table.insertedCount) {
      const name = table.nameAt(table.evictedCount);
      if (this.#newest.get(name) === table.evictedCount) this.#newest.delete(name);
      table.evictOldest();
    }
  }
}

function writeLiteral(
  pattern: number,
  prefixMax: number,
  nameIndex: number,
  name: string,
  value: string,
  out: Uint8Array,
  start: number,
): number {
  let at = writeInteger(nameIndex, pattern, prefixMax, out, start);
  if (nameIndex === 0) at = writeString(name, out, at);
  return writeString(value, out, at);
}

/** RFC 7541 section 5.1. */
function writeInteger(value: number, pattern: number, prefixMax: number, out: Uint8Array, start: number): number {
  let at = start;
  if (value < prefixMax) {
    out[at] = pattern | value;
    return at + 1;
  }
  out[at++] = pattern | prefixMax;
  let rest = value - prefixMax;
  for (; rest >= 0x80; rest >>>= 7) out[at++] = 0x80 | (rest & 0x7f);
  out[at++] = rest;
  return at;
}

/** RFC 7541 section 5.2. */
function writeString(text: string, out: Uint8Array, start: number): number {
  const codedBytes = huffmanEncodedBytes(text);
  if (codedBytes < text.length) return huffmanEncode(text, out, writeInteger(codedBytes, 0x80, 0x7f, out, start));
  const at = writeInteger(text.length, 0x00, 0x7f, out, start);
  for (let i = 0; i < text.length; i += 1) out[at + i] = latin1CodeAt(text, i);
  return at + text.length;
}
