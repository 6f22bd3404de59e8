/** A client connection to the target, through the subject's SOCKS5 entry or straight, up to the moment it is open. */
import { Region } from '@ambit/platform/region';
import { type Poller, READABLE, type Ready, WRITABLE } from './poller.ts';
import { assertConnected, connectTo, type Ipv4Address, readInto, writeFrom } from './sockets.ts';
import {
  assertMethodAccepted,
  CONNECT_BYTES,
  GREETING_BYTES,
  METHOD_BYTES,
  REPLY_BYTES_MAX,
  REPLY_HEAD_BYTES,
  replyBytes,
  writeConnect,
  writeGreeting,
} from './socks5.ts';

export interface Route {
  readonly target: Ipv4Address;
  /** The subject's SOCKS5 listener; null connects to the target itself. */
  readonly entry: Ipv4Address | null;
}

type Phase = 'connecting' | 'method' | 'reply' | 'open';

const outgoing = Region.map(32);
const incoming = Region.map(32);

export abstract class Tunnel implements Ready {
  readonly fd: number;
  readonly poller: Poller;
  readonly slot: number;
  readonly #route: Route;
  #phase: Phase = 'connecting';
  /** Bytes of the current SOCKS5 answer; allocated for the opening only. */
  #answer: Uint8Array | null = null;
  #have = 0;
  #need = 0;

  constructor(poller: Poller, route: Route) {
    this.poller = poller;
    this.#route = route;
    this.fd = connectTo(route.entry ?? route.target);
    this.slot = poller.add(this.fd, WRITABLE, this);
  }

  /** The tunnel carries bytes from now on, and is watched for reading. */
  protected abstract onOpen(): void;
  protected abstract onEvents(events: number): void;

  onReady(events: number): void {
    if (this.#phase === 'open') this.onEvents(events);
    else if (this.#phase === 'connecting') this.#onConnected();
    else if (this.#readAnswer()) this.#onAnswer();
  }

  watch(interest: number): void {
    this.poller.change(this.fd, this.slot, interest);
  }

  close(): void {
    this.poller.close(this.fd, this.slot);
  }

  #onConnected(): void {
    assertConnected(this.fd);
    this.watch(READABLE);
    if (this.#route.entry === null) {
      this.#open();
      return;
    }
    writeGreeting(outgoing.bytes, 0);
    this.#send(GREETING_BYTES);
    this.#answer = new Uint8Array(REPLY_BYTES_MAX);
    this.#expect('method', METHOD_BYTES);
  }

  #onAnswer(): void {
    const answer = this.#answer as Uint8Array;
    if (this.#phase === 'method') {
      assertMethodAccepted(answer);
      writeConnect(this.#route.target, outgoing.bytes, 0);
      this.#send(CONNECT_BYTES);
      this.#expect('reply', REPLY_HEAD_BYTES);
      return;
    }
    const whole = replyBytes(answer);
    if (this.#have === whole) this.#open();
    else {
      this.#need = whole;
      if (this.#readAnswer()) this.#open();
    }
  }

  #open(): void {
    this.#answer = null;
    this.#phase = 'open';
    this.onOpen();
  }

  #expect(phase: Phase, bytes: number): void {
    this.#phase = phase;
    this.#have = 0;
    this.#need = bytes;
  }

  /** Never reads beyond the answer: what follows belongs to the application. */
  #readAnswer(): boolean {
    const wanted = this.#need - this.#have;
    const count = readInto(this.fd, incoming.at(0, wanted), wanted);
    if (count === 0) throw new Error('the SOCKS5 server closed the connection');
    if (count > 0) {
      this.#answer?.set(incoming.bytes.subarray(0, count), this.#have);
      this.#have += count;
    }
    return this.#have === this.#need;
  }

  #send(length: number): void {
    if (writeFrom(this.fd, outgoing.at(0, length), length) !== length) throw new Error('a fresh socket took no bytes');
  }
}
