/** One connect of a simulated network, from the first packet to a connection, a failure or being given up. */
import type { AmbitError } from '@ambit/base/errors';
import type { Connection, ConnectResult, EngineTimer, SocketAddress } from '../engine.ts';
import { addressText, connectFailed, connectRefused, connectTimeout } from '../errors.ts';
import { Endpoint } from './endpoint.ts';
import { ClientHandshake } from './handshake.ts';
import type { MemoryListener } from './listener.ts';
import type { ScheduledEvent } from './schedule.ts';
import type { MemoryTlsContext } from './tls.ts';
import type { EndpointOwner, World } from './world.ts';

/** Where a packet to an address ends. */
export type Reached =
  | { readonly is: 'refused' }
  | { readonly is: 'dropped' }
  | { readonly is: 'listening'; readonly listener: MemoryListener; readonly at: SocketAddress };

/** What an attempt needs of its engine. */
export interface AttemptHost extends EndpointOwner {
  readonly world: World;
  takeDescriptor(): boolean;
  reach(to: SocketAddress): Reached;
  nameEndpoint(): string;
  dialled(endpoint: Endpoint): void;
  attemptOver(attempt: Attempt): void;
}

export class Attempt implements EngineTimer, ConnectResult {
  readonly #host: AttemptHost;
  readonly #result: ConnectResult;
  readonly #local: SocketAddress;
  readonly #remote: SocketAddress;
  readonly #tls: MemoryTlsContext | null;
  readonly #timeoutMs: number;
  #timer: ScheduledEvent | null = null;
  #endpoint: Endpoint | null = null;
  #over = false;
  #holdsDescriptor = false;

  constructor(
    host: AttemptHost,
    local: SocketAddress,
    remote: SocketAddress,
    tls: MemoryTlsContext | null,
    timeoutMs: number,
    result: ConnectResult,
  ) {
    this.#host = host;
    this.#local = local;
    this.#remote = remote;
    this.#tls = tls;
    this.#timeoutMs = timeoutMs;
    this.#result = result;
  }

  start(): void {
    const { schedule } = this.#host.world;
    if (!this.#host.takeDescriptor()) {
      schedule.after(0, () => this.fail(connectFailed(this.#remoteText(), 'EMFILE')));
      return;
    }
    this.#holdsDescriptor = true;
    this.#timer = schedule.after(this.#timeoutMs, () => this.#timeout());
    schedule.after(this.#host.world.delayMs(), () => this.#arrive());
  }

  cancel(): void {
    if (!this.#settle()) return;
    this.#endpoint?.discard();
  }

  fail(error: AmbitError): void {
    const endpoint = this.#endpoint;
    if (this.#over) return;
    if (endpoint !== null) {
      endpoint.terminate(error, true);
      return;
    }
    try {
      this.onFail(error);
    } catch {
      this.#host.counters.handlerFaults += 1;
    }
  }

  onOpen(connection: Connection): void {
    if (this.#settle()) this.#result.onOpen(connection);
  }

  onFail(error: AmbitError): void {
    if (this.#settle()) this.#result.onFail(error);
  }

  #arrive(): void {
    if (this.#over) return;
    const { world } = this.#host;
    const reached = this.#host.reach(this.#remote);
    if (reached.is === 'dropped') return;
    if (reached.is === 'refused') {
      world.schedule.after(world.delayMs(), () => this.fail(connectRefused(this.#remoteText())));
      return;
    }
    const addresses = { local: this.#local, remote: this.#remote, originalDestination: this.#local };
    const client = new Endpoint(world, this.#host, addresses, true, this.#host.nameEndpoint(), this);
    this.#endpoint = client;
    this.#host.dialled(client);
    const server = reached.listener.incoming(client, reached.at);
    client.join(server, this.#tls === null ? null : new ClientHandshake(client, this.#tls));
  }

  #timeout(): void {
    if (this.#endpoint?.state === 'handshaking') this.#endpoint.handshakeTimeout(this.#timeoutMs);
    else this.fail(connectTimeout(this.#remoteText(), this.#timeoutMs));
  }

  /** True the first time. The descriptor goes with the endpoint, once there is one. */
  #settle(): boolean {
    if (this.#over) return false;
    this.#over = true;
    if (this.#timer !== null) this.#host.world.schedule.cancel(this.#timer);
    this.#host.attemptOver(this);
    if (this.#endpoint === null && this.#holdsDescriptor) this.#host.gone(this);
    return true;
  }

  #remoteText(): string {
    return addressText(this.#remote.ip, this.#remote.port);
  }
}
