/**
 * One end of a simulated connection, by the rules of engine.ts. Everything happens in events of the schedule: a call on
 * it only notes and schedules, so a receiver is never entered from inside its own call.
 */
import { assert } from '@ambit/base/assert';
import type { AmbitError } from '@ambit/base/errors';
import { DroppingReceiver, LINGER_MS } from '../dropping-receiver.ts';
import type { Connection, ConnectResult, Receiver, SocketAddress, TlsPeer } from '../engine.ts';
import { addressText, connectionReset, handlerFault, tlsHandshakeFailed, tlsHandshakeTimeout } from '../errors.ts';
import { ByteQueue } from './byte-queue.ts';
import type { Handshake, HandshakeOwner } from './handshake.ts';
import { VIEW_BYTES_MAX } from './lent-view.ts';
import { Outbox } from './outbox.ts';
import type { ScheduledEvent } from './schedule.ts';
import { type Segment, TLS_RECORD_BYTES, type TlsMessage } from './segment.ts';
import type { EndpointOwner, World } from './world.ts';

/** `waiting`: a client for the server's kernel, a server for being accepted. */
type EndpointState = 'waiting' | 'handshaking' | 'open' | 'closed';

export class Endpoint implements Connection, HandshakeOwner {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly originalDestination: SocketAddress;
  readonly dialled: boolean;
  readonly name: string;
  tls: TlsPeer | null = null;
  state: EndpointState = 'waiting';

  readonly #world: World;
  readonly #owner: EndpointOwner;
  /** Whom to tell of the outcome; a server's `onFail` does nothing. */
  readonly #result: ConnectResult;
  #peer: Endpoint | null = null;
  #receiver: Receiver | null = null;
  #handshake: Handshake | null = null;
  #deadline: ScheduledEvent | null = null;
  #handedOver = false;
  #early: Segment[] = [];

  readonly #outbox: Outbox;
  #lastArrivalMs = 0;
  #flushScheduled = false;

  readonly #inbox = new ByteQueue();
  #bytesInFlight = 0;
  #readScheduled = false;
  #paused = false;
  #endArrived = false;
  #endDelivered = false;
  /** `finish()` was called: with this it is gone once all is sent. */
  #finishing: AmbitError | null = null;

  constructor(
    world: World,
    owner: EndpointOwner,
    addresses: Pick<Connection, 'local' | 'remote' | 'originalDestination'>,
    dialled: boolean,
    name: string,
    result: ConnectResult,
  ) {
    this.#world = world;
    this.#owner = owner;
    this.#outbox = new Outbox(owner.counters, world.queueBytes);
    this.local = addresses.local;
    this.remote = addresses.remote;
    this.originalDestination = addresses.originalDestination;
    this.dialled = dialled;
    this.name = name;
    this.#result = result;
  }

  /** Before anything is sent: who is at the other end, and what speaks first. */
  join(peer: Endpoint, handshake: Handshake | null): void {
    this.#peer = peer;
    this.#handshake = handshake;
  }

  /** The server's kernel answers the client, long before the server itself may have accepted. */
  announce(): void {
    this.#transmit({ kind: 'open' });
  }

  /** The server accepted the connection; its handshake has a deadline. */
  accept(handshakeTimeoutMs: number): void {
    const timedOut = (): void => this.handshakeTimeout(handshakeTimeoutMs);
    if (this.#handshake !== null) this.#deadline = this.#world.schedule.after(handshakeTimeoutMs, timedOut);
    this.#start();
  }

  /** A client was answered, or a server accepted the connection. */
  #start(): void {
    assert(this.state === 'waiting', 'a connection starts once');
    if (this.#handshake === null) {
      this.#open(null);
    } else {
      this.state = 'handshaking';
      this.#handshake.start();
    }
    const early = this.#early;
    this.#early = [];
    for (const segment of early) this.#arrive(segment);
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  write(bytes: Uint8Array, offset: number, length: number): void {
    assert(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'a write stays inside its bytes');
    if (this.state !== 'open' || this.#outbox.endRequested || length === 0) return;
    this.#outbox.push(bytes, offset, length);
    this.#scheduleFlush(0);
  }

  writableBytes(): number {
    return this.state !== 'open' || this.#outbox.endRequested ? 0 : this.#outbox.room();
  }

  end(): void {
    if (this.state !== 'open' || this.#outbox.endRequested) return;
    this.#outbox.endRequested = true;
    this.#scheduleFlush(0);
  }

  resume(): void {
    this.#paused = false;
    this.#scheduleRead();
  }

  finish(error: AmbitError): void {
    if (this.state !== 'open' || this.#finishing !== null) return;
    this.#finishing = error;
    this.#receiver = new DroppingReceiver(this.#receiver);
    this.resume();
    this.end();
    this.#closeIfEnded();
  }

  abort(error: AmbitError): void {
    this.terminate(error, true);
  }

  wallMs(): number {
    return this.#world.wallMs();
  }

  sendMessage(message: TlsMessage): void {
    this.#transmit({ kind: 'tls', message });
  }

  handshakeDone(peer: TlsPeer): void {
    this.#open(peer);
  }

  handshakeFailed(reason: string): void {
    this.terminate(tlsHandshakeFailed(this.#remoteText(), this.dialled, reason), true);
  }

  handshakeTimeout(timeoutMs: number): void {
    this.terminate(tlsHandshakeTimeout(this.#remoteText(), this.dialled, timeoutMs), true);
  }

  /** Both ends see a reset, as when a machine between them forgets the connection. */
  breakDown(): void {
    this.terminate(connectionReset(this.#remoteText(), this.dialled), true);
  }

  /** Gone without a word to its owner's code: an attempt that was given up. */
  discard(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#transmit({ kind: 'reset' });
    this.#owner.gone(this);
  }

  terminate(error: AmbitError, tellPeer: boolean): void {
    if (this.state === 'closed') return;
    if (this.state === 'handshaking') this.#owner.counters.handshakesFailed += 1;
    this.#close(error);
    if (tellPeer) this.#transmit({ kind: 'reset' });
  }

  #open(tls: TlsPeer | null): void {
    this.#clearDeadline();
    this.state = 'open';
    this.tls = tls;
    this.#handedOver = true;
    const { counters } = this.#owner;
    counters.connections += 1;
    if (this.dialled) counters.connected += 1;
    this.#trace('open');
    this.#guarded(this.dialled ? 'onOpen' : 'onConnection', () => {
      this.#result.onOpen(this);
      if (this.#receiver === null) throw new Error('nobody received the connection');
    });
    this.#scheduleRead();
  }

  #clearDeadline(): void {
    if (this.#deadline !== null) this.#world.schedule.cancel(this.#deadline);
  }

  #close(error: AmbitError | null): void {
    this.#clearDeadline();
    this.#outbox.drop();
    this.#inbox.clear();
    this.state = 'closed';
    this.#world.schedule.after(0, () => this.#tellClosed(error));
  }

  #tellClosed(error: AmbitError | null): void {
    this.#trace(`close ${error?.code ?? 'cleanly'}`);
    const { counters } = this.#owner;
    if (this.#handedOver) counters.connections -= 1;
    try {
      if (this.#handedOver) this.#receiver?.onClose(error);
      else if (error !== null) this.#result.onFail(error);
    } catch {
      counters.handlerFaults += 1;
    }
    this.#owner.gone(this);
  }

  #guarded(handler: string, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#owner.counters.handlerFaults += 1;
      this.#trace(`fault ${handler}`);
      this.terminate(handlerFault(handler, thrown), true);
    }
  }

  #transmit(segment: Segment): void {
    const peer = this.#peer;
    if (peer === null) return;
    const { schedule } = this.#world;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, schedule.nowMs + this.#world.delayMs());
    if (segment.kind === 'data') peer.#bytesInFlight += segment.bytes.length;
    schedule.after(this.#lastArrivalMs - schedule.nowMs, () => peer.#arrive(segment));
  }

  #scheduleFlush(delayMs: number): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#world.schedule.after(delayMs, () => this.#flush());
  }

  /** One write of the kernel: it takes a part, as far as the other side's buffer has room. */
  #flush(): void {
    this.#flushScheduled = false;
    if (this.state !== 'open') return;
    const { linkBytes, resetRate, rng } = this.#world;
    const peer = this.#peer!;
    const room = linkBytes - peer.#bytesInFlight - peer.#inbox.length;
    const limit = Math.min(room, this.#outbox.length);
    if (limit > 0) {
      const count = this.#world.pieceBytes(limit);
      this.#trace(`write ${count}`);
      this.#transmit({ kind: 'data', bytes: this.#outbox.take(count) });
      if (resetRate > 0 && rng.next() < resetRate) {
        this.breakDown();
        return;
      }
      if (limit > count) this.#scheduleFlush(0);
    }
    if (this.#outbox.takeEnd()) {
      this.#trace('end');
      this.#transmit({ kind: 'end' });
      this.#closeIfEnded();
    } else if (this.#outbox.takeRoomNews()) {
      this.#trace('writable');
      this.#guarded('onWritable', () => this.#receiver!.onWritable());
    }
  }

  #arrive(segment: Segment): void {
    if (segment.kind === 'data') this.#bytesInFlight -= segment.bytes.length;
    if (this.state === 'closed') {
      if (segment.kind === 'data' && this.#finishing !== null) this.#transmit({ kind: 'reset' }); // as after close(2)
      return;
    }
    if (this.state === 'waiting') {
      if (segment.kind === 'open') this.#start();
      else if (segment.kind === 'reset') this.terminate(connectionReset(this.#remoteText(), this.dialled), false);
      else this.#arriveEarly(segment);
    } else if (this.state === 'handshaking') {
      this.#handshake!.arrive(segment);
    } else {
      this.#arriveOpen(segment);
    }
  }

  /** What a client sends before the server accepted it waits in the kernel. */
  #arriveEarly(segment: Segment): void {
    if (segment.kind === 'data') this.#bytesInFlight += segment.bytes.length;
    this.#early.push(segment);
  }

  #arriveOpen(segment: Segment): void {
    switch (segment.kind) {
      case 'data':
        this.#inbox.push(segment.bytes);
        this.#scheduleRead();
        return;
      case 'end':
        this.#endArrived = true;
        this.#scheduleRead();
        return;
      case 'reset':
        this.terminate(connectionReset(this.#remoteText(), this.dialled), false);
        return;
      case 'tls':
        this.#arriveMessage(segment.message);
        return;
      default:
        assert(segment.kind === 'open', 'all kinds of segments are known');
    }
  }

  #arriveMessage(message: TlsMessage): void {
    if (this.tls === null) {
      this.#inbox.push(TLS_RECORD_BYTES);
      this.#scheduleRead();
    } else if (message.is === 'alert') {
      this.terminate(tlsHandshakeFailed(this.#remoteText(), this.dialled, `alert: ${message.reason}`), false);
    }
  }

  #scheduleRead(): void {
    if (this.state !== 'open' || this.#readScheduled || this.#paused) return;
    if (this.#inbox.length === 0 && (!this.#endArrived || this.#endDelivered)) return;
    this.#readScheduled = true;
    this.#world.schedule.after(0, () => this.#read());
  }

  /** One read: credit first, then at most that much, then the end when nothing is left before it. */
  #read(): void {
    this.#readScheduled = false;
    if (this.state !== 'open') return;
    if (this.#inbox.length > 0) this.#readData();
    else if (this.#endArrived && !this.#endDelivered) this.#readEnd();
    this.#scheduleRead();
  }

  #readData(): void {
    const credit = this.#askCredit();
    if (credit <= 0) return;
    const { view } = this.#world;
    const length = this.#world.pieceBytes(Math.min(credit, this.#inbox.length, VIEW_BYTES_MAX));
    const offset = view.lend(this.#inbox, length);
    this.#trace(`read ${length}`);
    this.#guarded('onData', () => this.#receiver!.onData(view.bytes, offset, length));
    view.reclaim();
    this.#peer!.#scheduleFlush(this.#world.delayMs());
  }

  /** 0 when reading is paused from now on, or the receiver is lost. */
  #askCredit(): number {
    let credit = 0;
    this.#guarded('creditBytes', () => {
      credit = this.#receiver!.creditBytes();
    });
    if (this.state !== 'open') return 0;
    if (credit <= 0) {
      this.#trace('pause');
      this.#paused = true;
    }
    return credit;
  }

  /** A socket shows its end to who reads, an HTTP/2 stream also to who does not: receivers must be ready for both. */
  #readEnd(): void {
    if (this.#world.rng.integer(2) === 0 && this.#askCredit() <= 0) return;
    this.#endDelivered = true;
    this.#trace('ended');
    this.#guarded('onEnd', () => this.#receiver!.onEnd());
    this.#closeIfEnded();
  }

  #closeIfEnded(): void {
    if (this.state !== 'open' || !this.#outbox.endSent) return;
    if (this.#endDelivered) this.#close(this.#finishing);
    else if (this.#finishing !== null) {
      this.#world.schedule.after(LINGER_MS, () => {
        if (this.state === 'open') this.#close(this.#finishing);
      });
    }
  }

  #remoteText(): string {
    return addressText(this.remote.ip, this.remote.port);
  }

  #trace(text: string): void {
    this.#world.trace(`${this.name} ${text}`);
  }
}
