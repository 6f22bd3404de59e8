/** All connections of one pod: bounded, listed for those who ask, ended together by a drain. */
import type { AmbitError } from '@ambit/base/errors';
import type { SocketAddress } from '@ambit/net/engine';
import type { ConnectionObserver, Direction } from './connection-facts.ts';
import type { Denials } from './denials.ts';
import { podError } from './errors.ts';
import type { LiveConnections } from './live-connections.ts';
import { type PendingClient, PodConnection } from './pod-connection.ts';

export interface ConnectionSetOptions {
  readonly observer: ConnectionObserver;
  readonly live: LiveConnections;
  readonly denials: Denials;
  readonly connectionsMax: number;
}

export class ConnectionSet {
  readonly observer: ConnectionObserver;
  readonly live: LiveConnections;
  readonly denials: Denials;
  /** Steps that threw; each cost its own connection. */
  faults = 0;
  /** When the last one ends. */
  onEmpty = (): void => {};
  readonly #connectionsMax: number;
  readonly #connections = new Set<PodConnection>();
  /** New ones are turned away with this. */
  #closedBy: AmbitError | null = null;

  constructor({ observer, live, denials, connectionsMax }: ConnectionSetOptions) {
    this.observer = observer;
    this.live = live;
    this.denials = denials;
    this.#connectionsMax = connectionsMax;
  }

  get size(): number {
    return this.#connections.size;
  }

  [Symbol.iterator](): IterableIterator<PodConnection> {
    return this.#connections.values();
  }

  /** A connection that finds no room is over when it is given back. */
  begin(
    direction: Direction,
    client: SocketAddress,
    destination: SocketAddress,
    pending: PendingClient,
  ): PodConnection {
    const connection = new PodConnection(this, direction, client, destination, pending);
    const size = this.#connections.size;
    this.#connections.add(connection);
    if (this.#closedBy !== null) connection.cut(this.#closedBy);
    else if (size >= this.#connectionsMax) connection.cut(podError('POD_FULL', `${size} connections are open`));
    return connection;
  }

  /** For the connection alone. */
  ended(connection: PodConnection): void {
    if (this.#connections.delete(connection) && this.#connections.size === 0) this.onEmpty();
  }

  /** Cuts all, and every one that still comes. */
  close(error: AmbitError): void {
    this.#closedBy = error;
    for (const connection of [...this.#connections]) connection.run(() => connection.cut(error));
  }
}
