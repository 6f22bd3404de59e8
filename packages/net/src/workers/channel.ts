/**
 * One end of a control channel on the reactor. Sending never waits and never fails: what the socket does not take stays
 * in a bounded outbox. The end of the other process is the end of the channel.
 */
import { EAGAIN, ECONNRESET, EINTR, ENOBUFS } from '@ambit/platform/errno';
import { Region } from '@ambit/platform/region';
import { receiveRecord, sendRecord } from '@ambit/platform/seqpacket';
import { closeDescriptor } from '@ambit/platform/socket';
import type { EngineTimer } from '../engine.ts';
import type { Reactor } from '../reactor/index.ts';
import { OUTBOX_MAX_BYTES, OUTBOX_RETRY_MS, RECORD_MAX_BYTES, RECORDS_PER_TURN } from './limits.ts';

export interface ChannelOwner {
  /** `fds` belong to the owner now. */
  onRecord(text: string, fds: readonly number[]): void;
  /** Once, last: the other side is gone (null), or why this one cannot go on. */
  onEnd(reason: string | null): void;
  /** The outbox is empty again. */
  onDrained(): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

/** Shared by all channels of the process: a record is read and handed on in one go. */
const received = Region.map(RECORD_MAX_BYTES);
const decoder = new TextDecoder();
const NO_FDS: readonly number[] = [];

export class ControlChannel {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #owner: ChannelOwner;
  readonly #watch: EngineTimer;
  #outbox: Waiting[] = [];
  #outboxBytes = 0;
  #retry: EngineTimer | null = null;
  #closed = false;

  /** The descriptor is the channel's from now on. */
  constructor(reactor: Reactor, fd: number, owner: ChannelOwner) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#owner = owner;
    this.#watch = reactor.watch(fd, () => this.#onReadable());
  }

  /** `fds` must stay open until sent, or until `forgetDescriptor`. */
  send(bytes: Uint8Array, fds: readonly number[] = NO_FDS): void {
    if (this.#closed) return;
    if (this.#outbox.length === 0 && this.#sendNow(bytes, fds)) return;
    this.#outbox.push({ bytes, fds });
    this.#outboxBytes += bytes.length;
    if (this.#outboxBytes > OUTBOX_MAX_BYTES) this.#end('the other side does not read its control channel');
    else this.#retryLater();
  }

  /** Nothing waits: who can do without sending holds back otherwise, and goes on at `onDrained`. */
  get idle(): boolean {
    return this.#outbox.length === 0;
  }

  /** Takes records with this descriptor out of the outbox, because it is about to be closed. */
  forgetDescriptor(fd: number): void {
    this.#outbox = this.#outbox.filter((waiting) => !waiting.fds.includes(fd));
    this.#outboxBytes = this.#outbox.reduce((sum, waiting) => sum + waiting.bytes.length, 0);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.cancel();
    this.#retry?.cancel();
    this.#outbox = [];
    closeDescriptor(this.#fd);
  }

  #end(reason: string | null): void {
    if (this.#closed) return;
    this.close();
    this.#owner.onEnd(reason);
  }

  #onReadable(): void {
    for (let taken = 0; taken < RECORDS_PER_TURN && !this.#closed; taken += 1) {
      const record = receiveRecord(this.#fd, received, 0, RECORD_MAX_BYTES, 1);
      if (record === -EAGAIN) return;
      // A peer that died with records unread shows first as a reset; what it had sent before still comes.
      if (record === -EINTR || record === -ECONNRESET) continue;
      if (typeof record === 'number' || record.length === 0) this.#end(null);
      else if (record.violation !== null) this.#end(`a record of the control channel has ${record.violation}`);
      else this.#owner.onRecord(decoder.decode(received.bytes.subarray(0, record.length)), record.fds);
    }
  }

  /** True when done with: sent, or the other side is gone, which reading will tell. */
  #sendNow(bytes: Uint8Array, fds: readonly number[]): boolean {
    const result = sendRecord(this.#fd, bytes, 0, bytes.length, fds);
    return result !== -EAGAIN && result !== -EINTR && result !== -ENOBUFS;
  }

  #retryLater(): void {
    this.#retry ??= this.#reactor.after(OUTBOX_RETRY_MS, () => {
      this.#retry = null;
      this.#flush();
    });
  }

  #flush(): void {
    let sent = 0;
    for (const { bytes, fds } of this.#outbox) {
      if (!this.#sendNow(bytes, fds)) break;
      sent += 1;
      this.#outboxBytes -= bytes.length;
    }
    this.#outbox.splice(0, sent);
    if (this.#outbox.length > 0) this.#retryLater();
    else this.#owner.onDrained();
  }
}
