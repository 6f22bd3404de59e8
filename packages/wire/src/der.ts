/**
 * A cursor over DER (X.690 section 10): one-byte tags, definite and minimal lengths, nothing recursive. Anything else
 * sets `failed`, after which every further read gives an empty element, so that callers ask once at the end.
 */
const LENGTH_OCTETS_MAX = 3;

export class DerReader {
  readonly bytes: Uint8Array;
  /** The next element starts here; `end` is where the enclosing element ends. */
  position: number;
  readonly end: number;
  failed = false;
  /** Of the element last read. */
  tag = 0;
  contentStart = 0;
  contentEnd = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.failed || this.position >= this.end;
  }

  /** Whether an element with this tag comes next. */
  at(tag: number): boolean {
    return !this.done && this.bytes[this.position] === tag;
  }

  /** Reads an element of any tag. */
  next(): boolean {
    if (this.done || !this.#readHeader()) return this.#fail();
    this.position = this.contentEnd;
    return true;
  }

  /** Reads an element that must have this tag. */
  expect(tag: number): boolean {
    return this.at(tag) ? this.next() : this.#fail();
  }

  /** A cursor over the content of the element last read. */
  inside(): DerReader {
    const reader = new DerReader(this.bytes, this.contentStart, this.contentEnd);
    reader.failed = this.failed;
    return reader;
  }

  #readHeader(): boolean {
    const { bytes, end } = this;
    let at = this.position;
    this.tag = bytes[at++]!;
    if ((this.tag & 0x1f) === 0x1f || at >= end) return false;
    let length = bytes[at++]!;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > LENGTH_OCTETS_MAX || octets > end - at) return false;
      length = 0;
      for (let i = 0; i < octets; i += 1) length = length * 256 + bytes[at++]!;
      // Minimal: neither a leading zero nor a long form where the short one would do.
      if (length < 0x80 || length < 256 ** (octets - 1)) return false;
    }
    if (length > end - at) return false;
    this.contentStart = at;
    this.contentEnd = at + length;
    return true;
  }

  #fail(): false {
    this.failed = true;
    this.contentStart = this.contentEnd = this.position = this.end;
    return false;
  }
}
