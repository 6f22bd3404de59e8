/**
 * The dynamic table of RFC 7541 sections 2.3.2 and 4, for both directions: a ring over sequence numbers, so that
 * neither insertion nor eviction moves an entry. Entry `s` lives while `evictedCount <= s < insertedCount`.
 */
const ENTRY_OVERHEAD_BYTES = 32;
const ENTRIES_INITIAL = 4;
/** Never written to: `insert` makes room first. */
const NONE: never[] = [];

export function entryBytes(nameLength: number, valueLength: number): number {
  return nameLength + valueLength + ENTRY_OVERHEAD_BYTES;
}

export class DynamicTable {
  insertedCount = 0;
  evictedCount = 0;
  bytes = 0;
  maxBytes: number;
  /** Power of two minus one: of none until the first entry. */
  #mask = -1;
  #names: string[] = NONE;
  #values: string[] = NONE;
  #links: number[] = NONE;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  nameAt(sequence: number): string {
    return this.#names[sequence & this.#mask]!;
  }

  valueAt(sequence: number): string {
    return this.#values[sequence & this.#mask]!;
  }

  /** What `insert` was given: the encoder chains entries of the same name by it. */
  linkAt(sequence: number): number {
    return this.#links[sequence & this.#mask]!;
  }

  /** An entry larger than the table empties it and is not kept, which is not an error (section 4.4). */
  insert(name: string, value: string, link: number): void {
    const size = entryBytes(name.length, value.length);
    this.evictTo(this.maxBytes - size);
    if (size > this.maxBytes) return;
    if (this.insertedCount - this.evictedCount > this.#mask) this.#grow();
    const slot = this.insertedCount & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#links[slot] = link;
    this.insertedCount += 1;
    this.bytes += size;
  }

  evictTo(bytes: number): void {
    while (this.bytes > bytes && this.evictedCount < this.insertedCount) this.evictOldest();
  }

  evictOldest(): void {
    const slot = this.evictedCount & this.#mask;
    this.bytes -= entryBytes(this.#names[slot]!.length, this.#values[slot]!.length);
    this.#names[slot] = '';
    this.#values[slot] = '';
    this.evictedCount += 1;
  }

  #grow(): void {
    const mask = this.#mask < 0 ? ENTRIES_INITIAL - 1 : this.#mask * 2 + 1;
    const names = new Array<string>(mask + 1).fill('');
    const values = new Array<string>(mask + 1).fill('');
    const links = new Array<number>(mask + 1).fill(-1);
    for (let sequence = this.evictedCount; sequence < this.insertedCount; sequence += 1) {
      names[sequence & mask] = this.nameAt(sequence);
      values[sequence & mask] = this.valueAt(sequence);
      links[sequence & mask] = this.linkAt(sequence);
    }
    this.#mask = mask;
    this.#names = names;
    this.#values = values;
    this.#links = links;
  }
}
