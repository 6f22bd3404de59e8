/**
 * Native memory that both the kernel and JavaScript see. Mapped once, pooled by its owner, and never unmapped while
 * anything may still use it: a view of unmapped memory is a crash of the whole process.
 */
import { assert } from '@ambit/base/assert';
import { AmbitError } from '@ambit/base/errors';
import { errnoName, lastErrno } from './errno.ts';
import { libc, viewNative } from './ffi.ts';

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

export class Region {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly address: number;
  readonly lengthBytes: number;

  private constructor(address: number, lengthBytes: number) {
    this.address = address;
    this.lengthBytes = lengthBytes;
    this.bytes = viewNative(address, lengthBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Throws `OUT_OF_MEMORY` when the kernel has none to give. */
  static map(lengthBytes: number): Region {
    const address = Number(libc.mmap(0, lengthBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
    if (address <= 0 || address > Number.MAX_SAFE_INTEGER) {
      throw new AmbitError('OUT_OF_MEMORY', `mapping ${lengthBytes} bytes failed: ${errnoName(lastErrno())}`, {
        side: 'internal',
        retry: 'unknown',
      });
    }
    return new Region(address, lengthBytes);
  }

  /** The address of `offset`, checked so that `length` bytes from there lie inside. Call it before every foreign call. */
  at(offset: number, length: number): number {
    assert(offset >= 0 && length >= 0 && offset + length <= this.lengthBytes, 'a foreign call stays inside its region');
    return this.address + offset;
  }
}
