/**
 * Decodes the header blocks of one connection, in order (RFC 7541 sections 3 and 6). Whatever the bytes are, it neither
 * throws nor allocates more than the list and the table may hold.
 */
import { assert } from '@ambit/base/assert';
import { latin1 } from '../latin1.ts';
import { HPACK_INTEGER_CONTINUATIONS_MAX, HPACK_TABLE_DEFAULT_BYTES } from '../limits.ts';
import { DynamicTable, entryBytes } from './dynamic-table.ts';
import { huffmanDecode, huffmanDecodedMaxBytes } from './huffman.ts';
import { STATIC_COUNT, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

/**
 * `too-large`: the table was kept in step, the fields beyond the cap are missing. `malformed`: COMPRESSION_ERROR, and the
 * decoder must not be used again.
 */
export type HpackResult = 'ok' | 'too-large' | 'malformed';

const NO_BYTES = new Uint8Array(0);

/** Of the process: decoding is synchronous, so one string at a time is in it. Grown to the longest string accepted. */
let huffmanScratch: Uint8Array = new Uint8Array(256);

export class HpackDecoder {
  /** Flat name, value list of the last block; a fresh array each time, the reader's to keep. */
  headers: string[] = [];

  readonly #table = new DynamicTable(HPACK_TABLE_DEFAULT_BYTES);
  readonly #listMaxBytes: number;
  readonly #tableAnnouncedBytes: number;
  /** What a size update may ask for. Until the peer acknowledged our SETTINGS it may still live by the default. */
  #tableLimitBytes: number;
  #failed = false;

  #bytes: Uint8Array = NO_BYTES;
  #position = 0;
  #end = 0;
  /** Size of the list as RFC 9113 section 6.5.2 counts it, dropped fields included. */
  #listBytes = 0;
  /** The last string read, or null if it was too long to be of use to anyone; its length is what `#readString` returns. */
  #text: string | null = null;

  /** `tableMaxBytes`: what SETTINGS_HEADER_TABLE_SIZE announced. `listMaxBytes`: names, values and 32 bytes for each. */
  constructor(tableMaxBytes: number, listMaxBytes: number) {
    this.#tableAnnouncedBytes = tableMaxBytes;
    this.#tableLimitBytes = Math.max(tableMaxBytes, HPACK_TABLE_DEFAULT_BYTES);
    this.#listMaxBytes = listMaxBytes;
  }

  /** The peer acknowledged our SETTINGS: from here its table must obey them (RFC 9113 section 4.3.1). */
  settingsAcknowledged(): void {
    this.#tableLimitBytes = this.#tableAnnouncedBytes;
  }

  decode(bytes: Uint8Array, offset: number, length: number): HpackResult {
    assert(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'the header block lies within its bytes');
    this.headers = [];
    if (this.#failed) return 'malformed';
    this.#bytes = bytes;
    this.#position = offset;
    this.#end = offset + length;
    this.#listBytes = 0;
    const sound = this.#sizeUpdates() && this.#fields();
    this.#bytes = NO_BYTES;
    this.#text = null;
    if (!sound) {
      this.#failed = true;
      this.headers = [];
      return 'malformed';
    }
    return this.#listBytes > this.#listMaxBytes ? 'too-large' : 'ok';
  }

  /** Only at the start of a block (section 4.2); without one, a table above a lowered limit is an error. */
  #sizeUpdates(): boolean {
    while (this.#position < this.#end && (this.#bytes[this.#position]! & 0xe0) === 0x20) {
      const size = this.#readInteger(0x1f);
      if (size < 0 || size > this.#tableLimitBytes) return false;
      this.#table.maxBytes = size;
      this.#table.evictTo(size);
    }
    return this.#table.maxBytes <= this.#tableLimitBytes;
  }

  #fields(): boolean {
    while (this.#position < this.#end) {
      const first = this.#bytes[this.#position]!;
      let sound: boolean;
      if (first >= 0x80) sound = this.#indexed();
      else if (first >= 0x40) sound = this.#literal(0x3f, true);
      else if (first >= 0x20) return false;
      else sound = this.#literal(0x0f, false);
      if (!sound) return false;
    }
    return true;
  }

  #indexed(): boolean {
    const index = this.#readInteger(0x7f);
    if (index <= 0) return false;
    if (index <= STATIC_COUNT) {
      this.#emit(STATIC_NAMES[index]!, STATIC_VALUES[index]!);
      return true;
    }
    const sequence = this.#sequenceOf(index);
    if (sequence < 0) return false;
    this.#emit(this.#table.nameAt(sequence), this.#table.valueAt(sequence));
    return true;
  }

  #literal(prefixMax: number, indexing: boolean): boolean {
    const index = this.#readInteger(prefixMax);
    if (index < 0) return false;
    // A string is made only if the list or the table has room for it.
    const keepMaxBytes = Math.max(this.#listMaxBytes - this.#listBytes, indexing ? this.#table.maxBytes : 0);
    let name: string | null;
    let nameLength: number;
    if (index === 0) {
      nameLength = this.#readString(keepMaxBytes);
      if (nameLength < 0) return false;
      name = this.#text;
    } else {
      name = this.#nameOf(index);
      if (name === null) return false;
      nameLength = name.length;
    }
    const valueLength = this.#readString(keepMaxBytes);
    if (valueLength < 0) return false;
    const value = this.#text;
    if (name !== null && value !== null) {
      if (indexing) this.#table.insert(name, value, -1);
      this.#emit(name, value);
    } else {
      // Larger than the table, so that to insert it is to empty the table (section 4.4).
      if (indexing) this.#table.evictTo(0);
      this.#listBytes += entryBytes(nameLength, valueLength);
    }
    return true;
  }

  #emit(name: string, value: string): void {
    this.#listBytes += entryBytes(name.length, value.length);
    if (this.#listBytes <= this.#listMaxBytes) this.headers.push(name, value);
  }

  #nameOf(index: number): string | null {
    if (index <= STATIC_COUNT) return STATIC_NAMES[index]!;
    const sequence = this.#sequenceOf(index);
    return sequence < 0 ? null : this.#table.nameAt(sequence);
  }

  /** Of the entry that an index above the static table means; -1 if there is none. The newest comes first. */
  #sequenceOf(index: number): number {
    const sequence = this.#table.insertedCount - (index - STATIC_COUNT);
    return sequence >= this.#table.evictedCount ? sequence : -1;
  }

  /** RFC 7541 section 5.1. -1: it ends too early or is too long. */
  #readInteger(prefixMax: number): number {
    let value = this.#bytes[this.#position]! & prefixMax;
    this.#position += 1;
    if (value < prefixMax) return value;
    for (let i = 0; i < HPACK_INTEGER_CONTINUATIONS_MAX && this.#position < this.#end; i += 1) {
      const octet = this.#bytes[this.#position]!;
      this.#position += 1;
      value += (octet & 0x7f) << (7 * i);
      if (octet < 0x80) return value;
    }
    return -1;
  }

  /** RFC 7541 section 5.2. Returns the decoded length, or -1; the text is in `#text` unless longer than `keepMaxBytes`. */
  #readString(keepMaxBytes: number): number {
    if (this.#position >= this.#end) return -1;
    const coded = this.#bytes[this.#position]! >= 0x80;
    const length = this.#readInteger(0x7f);
    if (length < 0 || length > this.#end - this.#position) return -1;
    const start = this.#position;
    this.#position += length;
    if (!coded) {
      this.#text = length <= keepMaxBytes ? latin1(this.#bytes, start, length) : null;
      return length;
    }
    const scratch = scratchFor(Math.min(huffmanDecodedMaxBytes(length), keepMaxBytes));
    const decodedLength = huffmanDecode(this.#bytes, start, length, scratch);
    if (decodedLength < 0) return -1;
    this.#text = decodedLength <= keepMaxBytes ? latin1(scratch, 0, decodedLength) : null;
    return decodedLength;
  }
}

function scratchFor(bytes: number): Uint8Array {
  if (bytes > huffmanScratch.length) huffmanScratch = new Uint8Array(bytes * 2);
  return huffmanScratch;
}
