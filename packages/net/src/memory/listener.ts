/** A listening address of a simulated network, with the backlog that a kernel keeps before a program accepts. */
import { assert } from '@ambit/base/assert';
import type { Connection, Listener, ListenOptions, SocketAddress, TlsContext } from '../engine.ts';
import { Endpoint } from './endpoint.ts';
import { ServerHandshake } from './handshake.ts';
import { asMemoryContext, type MemoryTlsContext } from './tls.ts';
import type { EndpointOwner, World } from './world.ts';

/** As Node's and most servers' default; a connection above it is refused, where Linux would let it time out. */
const BACKLOG_MAX = 511;

/** What a listener needs of its engine. */
export interface ListenerHost extends EndpointOwner {
  readonly world: World;
  /** False: no descriptor is left; `acceptWaiting` is called when there is one again. */
  takeDescriptor(): boolean;
  acceptPaused(): void;
  accepted(endpoint: Endpoint): void;
  listenerClosed(listener: MemoryListener): void;
}

export class MemoryListener implements Listener {
  readonly address: SocketAddress;
  readonly #onConnection: (connection: Connection) => void;
  readonly #host: ListenerHost;
  readonly #handshakeTimeoutMs: number;
  #tls: MemoryTlsContext | null;
  #backlog: Endpoint[] = [];
  #acceptScheduled = false;
  #closed = false;

  constructor(
    host: ListenerHost,
    address: SocketAddress,
    options: ListenOptions,
    defaultHandshakeTimeoutMs: number,
    onConnection: (connection: Connection) => void,
  ) {
    this.#host = host;
    this.address = address;
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs;
    this.#tls = options.tls === undefined ? null : serverContext(options.tls);
    this.#onConnection = onConnection;
  }

  useTls(tls: TlsContext): void {
    this.#tls = serverContext(tls);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.listenerClosed(this);
    const waiting = this.#backlog;
    this.#backlog = [];
    for (const endpoint of waiting) endpoint.discard();
  }

  get full(): boolean {
    return this.#backlog.length >= BACKLOG_MAX;
  }

  /** A client's packet has come to `local`: the kernel answers, the program accepts later. */
  incoming(client: Endpoint, local: SocketAddress): Endpoint {
    const addresses = { local, remote: client.local, originalDestination: client.remote };
    const name = `${client.name}-server`;
    const result = { onOpen: this.#onConnection, onFail: () => {} };
    const server = new Endpoint(this.#host.world, this.#host, addresses, false, name, result);
    const tls = this.#tls;
    server.join(client, tls === null ? null : new ServerHandshake(server, tls));
    server.announce();
    this.#backlog.push(server);
    this.acceptWaiting();
    return server;
  }

  acceptWaiting(): void {
    if (this.#acceptScheduled || this.#closed || this.#backlog.length === 0) return;
    this.#acceptScheduled = true;
    this.#host.world.schedule.after(0, () => this.#accept());
  }

  #accept(): void {
    this.#acceptScheduled = false;
    while (this.#backlog.length > 0) {
      if (this.#backlog[0]!.state !== 'closed') {
        if (!this.#host.takeDescriptor()) {
          this.#host.acceptPaused();
          return;
        }
        this.#host.accepted(this.#backlog[0]!);
        this.#backlog[0]!.accept(this.#handshakeTimeoutMs);
      }
      this.#backlog.shift();
    }
  }
}

function serverContext(tls: TlsContext): MemoryTlsContext {
  const context = asMemoryContext(tls);
  assert(context.chain.length > 0, 'a listener shows a certificate');
  return context;
}
