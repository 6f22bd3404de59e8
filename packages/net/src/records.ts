/**
 * Records with descriptors over a named SEQPACKET socket, on the reactor: for who speaks a protocol of records (ZDS) with
 * a stranger. Where it differs from the control channel of our own processes: nothing is queued, for there is one message
 * outstanding at most, and reading can pause until the last record is dealt with.
 */
import { rmSync } from 'node:fs';
import { assert } from '@ambit/base/assert';
import { EAGAIN, ECONNRESET, EINTR, errnoName } from '@ambit/platform/errno';
import { Region } from '@ambit/platform/region';
import { connectSeqpacket, listenSeqpacket, receiveRecord, sendRecord } from '@ambit/platform/seqpacket';
import { acceptSocket, closeDescriptor } from '@ambit/platform/socket';
import type { EngineTimer } from './engine.ts';
import { ACCEPT_RETRY_MS, LINK_RECORD_MAX_BYTES, LINK_RECORDS_PER_TURN } from './limits.ts';
import type { Reactor } from './reactor/index.ts';

export interface RecordOwner {
  /** `bytes` are valid during the call; `fds` are the owner's to close. */
  onRecord(bytes: Uint8Array, fds: readonly number[]): void;
  /** Once and last, and not after `close`: the other side is gone (null), or why it cannot go on. It is closed already. */
  onEnd(problem: string | null): void;
}

export interface RecordBounds {
  /** Longer ones end the link. */
  readonly recordMaxBytes: number;
  /** Of one record; one with more ends the link. */
  readonly fdsMax: number;
}

/** Throws `SYSTEM_CALL` where nobody listens, or where the queue of the listener is full. Never waits. */
export function connectRecords(reactor: Reactor, path: string, bounds: RecordBounds, owner: RecordOwner): RecordLink {
  return new RecordLink(reactor, connectSeqpacket(path), bounds, owner);
}

/** Shared by all links: a record is read and handed on in one go. */
const received = Region.map(LINK_RECORD_MAX_BYTES);
const NO_FDS: readonly number[] = [];

export class RecordLink {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #bounds: RecordBounds;
  readonly #owner: RecordOwner;
  #watch: EngineTimer | null = null;
  #closed = false;

  /** The descriptor is the link's from now on. */
  constructor(reactor: Reactor, fd: number, bounds: RecordBounds, owner: RecordOwner) {
    assert(bounds.recordMaxBytes <= LINK_RECORD_MAX_BYTES, 'a record fits the region');
    this.#reactor = reactor;
    this.#fd = fd;
    this.#bounds = bounds;
    this.#owner = owner;
    this.resume();
  }

  /** Null when it went out, else why not; then the link is of no more use and the caller's to close. */
  send(bytes: Uint8Array, fds: readonly number[] = NO_FDS): string | null {
    if (this.#closed) return 'it is closed';
    let result = -EINTR;
    while (result === -EINTR) result = sendRecord(this.#fd, bytes, 0, bytes.length, fds);
    if (result >= 0) return null;
    return result === -EAGAIN ? 'the other side does not read' : errnoName(-result);
  }

  /** Nothing more is taken, nor the end noticed, until `resume`. */
  pause(): void {
    this.#watch?.cancel();
    this.#watch = null;
  }

  resume(): void {
    if (this.#closed) return;
    this.#watch ??= this.#reactor.watch(this.#fd, () => this.#onReadable());
  }

  close(): void {
    if (this.#closed) return;
    this.pause();
    this.#closed = true;
    closeDescriptor(this.#fd);
  }

  #onReadable(): void {
    for (let taken = 0; taken < LINK_RECORDS_PER_TURN && this.#watch !== null; taken += 1) {
      const record = receiveRecord(this.#fd, received, 0, this.#bounds.recordMaxBytes, this.#bounds.fdsMax);
      if (record === -EAGAIN) return;
      // A peer that died with records unread shows first as a reset; what it had sent before still comes.
      if (record === -EINTR || record === -ECONNRESET) continue;
      if (typeof record === 'number') this.#end(errnoName(-record));
      else if (record.violation !== null) this.#end(`a record has ${record.violation}`);
      // An empty record looks like the end, and nobody has use for one.
      else if (record.length === 0 && record.fds.length === 0) this.#end(null);
      else this.#hand(record.length, record.fds);
    }
  }

  #hand(length: number, fds: readonly number[]): void {
    try {
      this.#owner.onRecord(received.bytes.subarray(0, length), fds);
    } catch (thrown) {
      this.#end('handling a record failed');
      throw thrown; // counted by the reactor
    }
  }

  #end(problem: string | null): void {
    if (this.#closed) return;
    this.close();
    this.#owner.onEnd(problem);
  }
}

/** Takes connections one at a time; what is not taken waits in the queue of the kernel. */
export class RecordListener {
  readonly #reactor: Reactor;
  readonly #path: string;
  readonly #fd: number;
  readonly #onConnection: (fd: number) => void;
  #watch: EngineTimer | null = null;
  #closed = false;

  /** `onConnection` gets a descriptor of its own, for a `RecordLink`. */
  constructor(reactor: Reactor, path: string, onConnection: (fd: number) => void) {
    this.#reactor = reactor;
    this.#path = path;
    this.#fd = listenSeqpacket(path);
    this.#onConnection = onConnection;
    this.resume();
  }

  pause(): void {
    this.#watch?.cancel();
    this.#watch = null;
  }

  resume(): void {
    if (this.#closed) return;
    this.#watch ??= this.#reactor.watch(this.#fd, () => {
      const fd = acceptSocket(this.#fd);
      if (fd >= 0) this.#onConnection(fd);
      else if (fd !== -EAGAIN) this.#pauseShortly(); // no descriptors left, mostly: asking at once would only spin
    });
  }

  #pauseShortly(): void {
    this.pause();
    this.#reactor.after(ACCEPT_RETRY_MS, () => this.resume());
  }

  /** The path goes first, so that whoever comes next finds nobody rather than us. */
  close(): void {
    if (this.#closed) return;
    this.pause();
    this.#closed = true;
    rmSync(this.#path, { force: true });
    closeDescriptor(this.#fd);
  }
}
