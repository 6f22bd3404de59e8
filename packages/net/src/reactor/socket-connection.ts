/**
 * What TCP and TLS connections share: addresses, the receiver, reading paused by credit, and an end that is told once.
 * How bytes pass is the subclasses' matter.
 */
import type { AmbitError } from '@ambit/base/errors';
import { EPOLLIN, EPOLLOUT } from '@ambit/platform/epoll';
import { originalDestination } from '@ambit/platform/original-destination';
import { closeDescriptor, localAddress, setLingerReset, shutdownWrite } from '@ambit/platform/socket';
import { DroppingReceiver, LINGER_MS } from '../dropping-receiver.ts';
import type { Connection, Receiver, SocketAddress, TlsPeer } from '../engine.ts';
import { handlerFault } from '../errors.ts';
import { Source, UNWATCHED } from './event-loop.ts';
import { WRITE_QUEUE_BYTES } from './limits.ts';
import type { Shared } from './shared.ts';

export abstract class SocketConnection extends Source implements Connection {
  readonly shared: Shared;
  readonly remote: SocketAddress;
  readonly dialled: boolean;
  receiver: Receiver | null = null;
  /** Open, that is handed over: counted, and owed an `onClose`. */
  opened = false;
  closed = false;
  remoteEnded = false;
  /** `end()` was called. */
  localEnded = false;
  /** The FIN has gone out. */
  writeShut = false;
  /** The receiver gave no credit; `resume()` continues. */
  paused = false;
  /** The receiver found too little room and waits for `onWritable`. */
  writerWaits = false;
  #error: AmbitError | null = null;
  /** `finish()` was called: with this it is gone once all is sent. */
  #finishing: AmbitError | null = null;
  #local: SocketAddress | null = null;
  #originalDestination: SocketAddress | null = null;

  constructor(shared: Shared, remote: SocketAddress, dialled: boolean) {
    super();
    this.shared = shared;
    this.remote = remote;
    this.dialled = dialled;
  }

  abstract readonly tls: TlsPeer | null;
  abstract write(bytes: Uint8Array, offset: number, length: number): void;
  /** Reads while there are credit, budget and bytes. */
  abstract pull(): void;
  /** Bytes that wait for the peer. */
  abstract heldBytes(): number;
  /** Sends what precedes the FIN; `shutWrite` when nothing is held. */
  abstract finishWriting(): void;
  abstract freeTransport(): void;

  /** Asked for when first needed: most connections never need it, and each costs a system call. */
  get local(): SocketAddress {
    this.#local ??= this.closed ? { ip: '', port: 0 } : localAddress(this.fd);
    return this.#local;
  }

  get originalDestination(): SocketAddress {
    this.#originalDestination ??= this.closed ? this.local : originalDestination(this.fd);
    return this.#originalDestination;
  }

  receive(receiver: Receiver): void {
    this.receiver = receiver;
  }

  writableBytes(): number {
    const room = this.closed || this.localEnded ? 0 : WRITE_QUEUE_BYTES - this.heldBytes();
    if (room > 0) return room;
    this.writerWaits = true;
    return 0;
  }

  end(): void {
    if (this.closed || this.localEnded) return;
    this.localEnded = true;
    this.finishWriting();
  }

  resume(): void {
    if (!this.paused || this.closed) return;
    this.paused = false;
    this.shared.loop.markReady(this);
  }

  finish(error: AmbitError): void {
    if (this.closed || this.#finishing !== null) return;
    this.#finishing = error;
    this.receiver = new DroppingReceiver(this.receiver);
    this.resume();
    this.end();
    if (this.writeShut) this.#linger();
  }

  abort(error: AmbitError): void {
    if (this.closed) return;
    setLingerReset(this.fd);
    this.release(error);
  }

  onReady(): void {
    this.pull();
    if (!this.closed && !this.paused) this.watchReads();
  }

  onFault(thrown: unknown): void {
    this.shared.counters.handlerFaults += 1;
    this.shared.onFault(thrown);
    this.abort(handlerFault('a receiver', thrown));
  }

  onDeferred(): void {
    if (this.opened) this.receiver?.onClose(this.#error);
    else this.onNeverOpened(this.#error);
  }

  /** The end of a connection that was not handed over yet. */
  protected onNeverOpened(_error: AmbitError | null): void {}

  /** From now on it is counted, and whoever gets it is owed an `onClose`. */
  open(): void {
    this.opened = true;
    this.shared.counters.connections += 1;
  }

  /** The descriptor is gone after this; the receiver hears of it at the end of the turn. */
  release(error: AmbitError | null): void {
    if (this.closed) return;
    this.closed = true;
    this.#error = error;
    const held = this.heldBytes();
    if (held > 0) this.shared.counters.queuedBytes -= held;
    this.shared.loop.unregister(this);
    this.freeTransport();
    closeDescriptor(this.fd);
    this.shared.open.delete(this);
    this.shared.closesSinceTrim += 1;
    if (this.opened) this.shared.counters.connections -= 1;
    this.shared.loop.defer(this);
  }

  /** Both directions have ended, and everything was sent. */
  finishIfDone(): void {
    if (this.remoteEnded && this.writeShut) this.release(this.#finishing);
  }

  shutWrite(): void {
    if (this.writeShut || this.closed) return;
    this.writeShut = true;
    if (this.remoteEnded) {
      this.release(this.#finishing); // the close says it too
    } else {
      shutdownWrite(this.fd);
      if (this.#finishing !== null) this.#linger();
    }
  }

  #linger(): void {
    this.shared.loop.after(LINGER_MS, () => this.release(this.#finishing));
  }

  takeEnd(): void {
    this.remoteEnded = true;
    this.receiver?.onEnd();
    this.finishIfDone();
  }

  tellWritable(): void {
    if (!this.writerWaits || this.closed || this.localEnded || this.heldBytes() > WRITE_QUEUE_BYTES / 2) return;
    this.writerWaits = false;
    this.receiver?.onWritable();
  }

  /** Without credit an event only says that there is something: epoll would say so again at once, and for ever. */
  silence(hangup: boolean): void {
    this.watch(hangup ? UNWATCHED : this.watched & ~EPOLLIN);
  }

  watchReads(): void {
    if (!this.remoteEnded) this.watch((this.watched === UNWATCHED ? 0 : this.watched) | EPOLLIN);
  }

  /** As it is watched when it is handed over: one call, whatever was watched before. */
  watchOpened(): void {
    this.watch(EPOLLIN);
  }

  watchWrites(on: boolean): void {
    const now = this.watched === UNWATCHED ? 0 : this.watched;
    this.watch(on ? now | EPOLLOUT : now & ~EPOLLOUT);
  }

  protected watch(events: number): void {
    if (!this.closed) this.shared.loop.interest(this, events);
  }
}
