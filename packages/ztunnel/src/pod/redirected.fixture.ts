/** What redirection does to a connection, for engines that have none. */
import type { AmbitError } from '@ambit/base/errors';
import type { Connection, Duplex, Receiver, SocketAddress } from '@ambit/net/engine';

const OUTBOUND_PORT = 15_001;

/** A connection as redirection would bring it: it arrives somewhere else than it was meant for. */
export class Redirected implements Connection {
  readonly #inner: Connection;
  readonly local: SocketAddress = { ip: '127.0.0.1', port: OUTBOUND_PORT };
  readonly originalDestination: SocketAddress;

  constructor(inner: Connection, originalDestination: SocketAddress) {
    this.#inner = inner;
    this.originalDestination = originalDestination;
  }

  get remote(): SocketAddress {
    return this.#inner.remote;
  }

  get tls(): Connection['tls'] {
    return this.#inner.tls;
  }

  receive(receiver: Receiver): void {
    this.#inner.receive(receiver);
  }

  write(...given: Parameters<Duplex['write']>): void {
    this.#inner.write(...given);
  }

  writableBytes(): number {
    return this.#inner.writableBytes();
  }

  end(): void {
    this.#inner.end();
  }

  resume(): void {
    this.#inner.resume();
  }

  finish(error: AmbitError): void {
    this.#inner.finish(error);
  }

  abort(error: AmbitError): void {
    this.#inner.abort(error);
  }
}
