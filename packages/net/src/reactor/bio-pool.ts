/**
 * Memory BIOs that sealed bytes wait in. A quiet connection keeps a small one; one that sends much borrows a grown one
 * and loses it to the pool after a sweep in which it sent nothing.
 */
import { openssl } from '@ambit/platform/ffi';
import { BIO_POOL_MAX } from './limits.ts';

const memoryMethod = openssl.BIO_s_mem();

export function makeMemoryBio(): number {
  return openssl.BIO_new(memoryMethod);
}

export interface Borrower {
  /** Gives the grown BIO back, unless it was needed since the last time. */
  returnBio(): void;
}

export class BioPool {
  readonly borrowers = new Set<Borrower>();
  readonly #grown: number[] = [];

  /** The caller gets one reference of its own. */
  take(): number {
    return this.#grown.pop() ?? makeMemoryBio();
  }

  /** Takes the caller's reference. The BIO is empty and no connection writes to it any more. */
  give(bio: number): void {
    if (this.#grown.length < BIO_POOL_MAX) this.#grown.push(bio);
    else openssl.BIO_free(bio);
  }

  sweep(): void {
    for (const borrower of this.borrowers) borrower.returnBio();
  }

  close(): void {
    for (const bio of this.#grown) openssl.BIO_free(bio);
    this.#grown.length = 0;
  }
}
