/**
 * One epoll instance with its event buffer. What an event belongs to is a slot and a generation: a descriptor number is
 * reused by the kernel at once, a generation never, so that an event of a closed socket cannot reach its successor.
 */

import { EEXIST, EINTR, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { Region } from './region.ts';
import { SystemCallError } from './socket.ts';

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
/** One waiter of those that share the socket wakes up, so that children do not all run for one connection. */
export const EPOLLEXCLUSIVE = 1 << 28;

const EPOLL_CLOEXEC = 0x80000;
const CTL_ADD = 1;
const CTL_DEL = 2;
const CTL_MOD = 3;
const EVENTS_PER_WAIT = 256;
/** struct epoll_event is packed on x86-64 only. */
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4;
const DATA_WORD = process.arch === 'x64' ? 1 : 2;
const CONTROL_WORD = EVENTS_PER_WAIT * EVENT_WORDS;

export class Epoll {
  readonly fd: number;
  readonly #region = Region.map(4 * (CONTROL_WORD + EVENT_WORDS));
  readonly #words = new Int32Array(this.#region.bytes.buffer);
  readonly #eventsAddress = this.#region.at(0, 4 * CONTROL_WORD);
  readonly #controlAddress = this.#region.at(4 * CONTROL_WORD, 4 * EVENT_WORDS);

  constructor() {
    this.fd = libc.epoll_create1(EPOLL_CLOEXEC);
    if (this.fd < 0) throw new SystemCallError('epoll_create1', lastErrno(), 'making an event queue');
  }

  add(fd: number, events: number, slot: number, generation: number): void {
    if (this.#control(CTL_ADD, fd, events, slot, generation) < 0 && lastErrno() !== EEXIST) {
      throw new SystemCallError('epoll_ctl', lastErrno(), `watching descriptor ${fd}`);
    }
  }

  modify(fd: number, events: number, slot: number, generation: number): void {
    if (this.#control(CTL_MOD, fd, events, slot, generation) < 0) {
      throw new SystemCallError('epoll_ctl', lastErrno(), `watching descriptor ${fd}`);
    }
  }

  /** Closing a descriptor that no other process shares does this by itself. */
  remove(fd: number): void {
    this.#control(CTL_DEL, fd, 0, 0, 0);
  }

  /** Number of events now readable by `eventsAt`, `slotAt`, `generationAt`; 0 after `timeoutMs` or a signal. */
  wait(timeoutMs: number): number {
    const count = libc.epoll_wait(this.fd, this.#eventsAddress, EVENTS_PER_WAIT, timeoutMs);
    if (count >= 0) return count;
    if (lastErrno() === EINTR) return 0;
    throw new SystemCallError('epoll_wait', lastErrno(), 'waiting for events');
  }

  eventsAt(index: number): number {
    return this.#words[index * EVENT_WORDS] as number;
  }

  slotAt(index: number): number {
    return this.#words[index * EVENT_WORDS + DATA_WORD] as number;
  }

  generationAt(index: number): number {
    return this.#words[index * EVENT_WORDS + DATA_WORD + 1] as number;
  }

  close(): void {
    libc.close(this.fd);
  }

  #control(operation: number, fd: number, events: number, slot: number, generation: number): number {
    this.#words[CONTROL_WORD] = events;
    this.#words[CONTROL_WORD + DATA_WORD] = slot;
    this.#words[CONTROL_WORD + DATA_WORD + 1] = generation;
    return libc.epoll_ctl(this.fd, operation, fd, this.#controlAddress);
  }
}
