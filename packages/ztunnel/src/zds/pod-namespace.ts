/**
 * The network namespace of a pod as the agent passed it. The descriptor is what keeps the kernel from giving inode and
 * device to another namespace, so it stays open for as long as the two are compared.
 */
import { closeSync, fstatSync } from 'node:fs';

export class PodNamespace {
  readonly fd: number;
  readonly #inode: number;
  readonly #device: number;
  #closed = false;

  /** The descriptor is this object's from now on. */
  constructor(fd: number) {
    this.fd = fd;
    const { ino, dev } = fstatSync(fd);
    this.#inode = ino;
    this.#device = dev;
  }

  isSame(other: PodNamespace): boolean {
    return this.#inode === other.#inode && this.#device === other.#device;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}
