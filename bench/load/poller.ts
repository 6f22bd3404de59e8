/**
 * A small epoll loop, level-triggered, on its own on purpose: the measuring side must not change when the product's
 * reactor does. It blocks in the kernel and Node's own loop does not turn meanwhile.
 */
import { lastErrno } from '@ambit/platform/errno';
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import { EVENTS_PER_TURN, STALL_TIMEOUT_MS } from './limits.ts';

export const READABLE = 0x1;
export const WRITABLE = 0x4;

const EPOLL_CLOEXEC = 0x80000;
const CTL_ADD = 1;
const CTL_CHANGE = 3;
const EINTR = 4;
/** `struct epoll_event` is packed on x86-64 only. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;

export interface Ready {
  onReady(events: number): void;
}

export class Poller {
  readonly #epoll = libc.epoll_create1(EPOLL_CLOEXEC);
  readonly #events = Region.map(EVENT_BYTES * EVENTS_PER_TURN);
  readonly #one = Region.map(EVENT_BYTES);
  readonly #handlers: (Ready | null)[] = [];
  readonly #free: number[] = [];
  /** Slots given back during a turn: reused after it, so that an event already fetched cannot reach a newcomer. */
  #retired: number[] = [];

  /** The slot is what `change` and `close` ask for. */
  add(fd: number, interest: number, handler: Ready): number {
    const slot = this.#free.pop() ?? this.#handlers.length;
    this.#handlers[slot] = handler;
    this.#control(CTL_ADD, fd, slot, interest);
    return slot;
  }

  change(fd: number, slot: number, interest: number): void {
    this.#control(CTL_CHANGE, fd, slot, interest);
  }

  /** Closes the descriptor, which also takes it out of epoll. */
  close(fd: number, slot: number): void {
    this.#handlers[slot] = null;
    this.#retired.push(slot);
    libc.close(fd);
  }

  /** Turns until `done` says so. Throws when nothing happens for too long, unless `patient` (a server waits for ever). */
  run(done: () => boolean, patient = false): void {
    const address = this.#events.at(0, this.#events.lengthBytes);
    while (!done()) {
      const count = libc.epoll_wait(this.#epoll, address, EVENTS_PER_TURN, patient ? -1 : STALL_TIMEOUT_MS);
      if (count === 0) throw new Error(`stalled: nothing happened for ${STALL_TIMEOUT_MS / 1000} s`);
      if (count < 0 && lastErrno() !== EINTR) throw new Error(`epoll_wait failed: errno ${lastErrno()}`);
      for (let i = 0; i < count; i++) {
        const at = i * EVENT_BYTES;
        const handler = this.#handlers[this.#events.view.getUint32(at + DATA_OFFSET, true)];
        if (handler) handler.onReady(this.#events.view.getUint32(at, true));
      }
      if (this.#retired.length > 0) {
        for (const slot of this.#retired) this.#free.push(slot);
        this.#retired = [];
      }
    }
  }

  #control(operation: number, fd: number, slot: number, interest: number): void {
    this.#one.view.setUint32(0, interest, true);
    this.#one.view.setUint32(DATA_OFFSET, slot, true);
    if (libc.epoll_ctl(this.#epoll, operation, fd, this.#one.at(0, EVENT_BYTES)) < 0) {
      throw new Error(`epoll_ctl failed: errno ${lastErrno()}`);
    }
  }
}
