/**
 * One side of a simulated TLS 1.3 handshake. As in the real one, the client is done a flight before the server: a client
 * whose certificate the server refuses gets an open connection first and the alert afterwards.
 */
import { unreachable } from '@ambit/base/assert';
import type { TlsPeer } from '../engine.ts';
import type { Segment, TlsMessage } from './segment.ts';
import { type MemoryTlsContext, verifyChain } from './tls.ts';

export interface HandshakeOwner {
  wallMs(): number;
  sendMessage(message: TlsMessage): void;
  handshakeDone(peer: TlsPeer): void;
  handshakeFailed(reason: string): void;
}

export interface Handshake {
  start(): void;
  arrive(segment: Segment): void;
}

export class ClientHandshake implements Handshake {
  readonly #owner: HandshakeOwner;
  readonly #context: MemoryTlsContext;

  constructor(owner: HandshakeOwner, context: MemoryTlsContext) {
    this.#owner = owner;
    this.#context = context;
  }

  start(): void {
    this.#owner.sendMessage({ is: 'clientHello', alpn: this.#context.material.alpn });
  }

  arrive(segment: Segment): void {
    const message = handshakeMessage(segment);
    if (message === null || message.is === 'clientHello' || message.is === 'clientFlight') {
      this.#owner.handshakeFailed(`unexpected ${segment.kind}`);
    } else if (message.is === 'alert') {
      this.#owner.handshakeFailed(`alert: ${message.reason}`);
    } else {
      this.#serverFlight(message);
    }
  }

  #serverFlight(flight: TlsMessage & { is: 'serverFlight' }): void {
    const { roots, chain } = this.#context;
    const fault = roots === null ? null : verifyChain(flight.chain, roots, 'serverAuth', this.#owner.wallMs());
    if (fault !== null) {
      refuse(this.#owner, fault);
      return;
    }
    this.#owner.sendMessage({ is: 'clientFlight', chain: flight.wantsCertificate ? chain : [] });
    this.#owner.handshakeDone({ leafDer: flight.chain[0]!.der.slice(), alpn: flight.alpn });
  }
}

export class ServerHandshake implements Handshake {
  readonly #owner: HandshakeOwner;
  readonly #context: MemoryTlsContext;

  constructor(owner: HandshakeOwner, context: MemoryTlsContext) {
    this.#owner = owner;
    this.#context = context;
  }

  start(): void {}

  arrive(segment: Segment): void {
    const message = handshakeMessage(segment);
    if (message === null) {
      this.#owner.handshakeFailed(`unexpected ${segment.kind}`);
      return;
    }
    switch (message.is) {
      case 'clientHello':
        this.#clientHello(message.alpn);
        return;
      case 'clientFlight':
        this.#clientFlight(message);
        return;
      case 'alert':
        this.#owner.handshakeFailed(`alert: ${message.reason}`);
        return;
      case 'serverFlight':
        this.#owner.handshakeFailed('unexpected message');
        return;
      default:
        unreachable(message);
    }
  }

  #clientHello(alpn: string): void {
    const { chain, material, roots } = this.#context;
    if (alpn !== material.alpn) {
      refuse(this.#owner, 'no application protocol');
      return;
    }
    this.#owner.sendMessage({ is: 'serverFlight', alpn, chain, wantsCertificate: roots !== null });
  }

  #clientFlight(flight: TlsMessage & { is: 'clientFlight' }): void {
    const { material, roots } = this.#context;
    const fault = roots === null ? null : verifyChain(flight.chain, roots, 'clientAuth', this.#owner.wallMs());
    if (fault !== null) {
      refuse(this.#owner, fault);
      return;
    }
    const leaf = flight.chain[0];
    this.#owner.handshakeDone({ leafDer: leaf === undefined ? null : leaf.der.slice(), alpn: material.alpn });
  }
}

function handshakeMessage(segment: Segment): TlsMessage | null {
  return segment.kind === 'tls' ? segment.message : null;
}

function refuse(owner: HandshakeOwner, reason: string): void {
  owner.sendMessage({ is: 'alert', reason });
  owner.handshakeFailed(reason);
}
