/** Takes connections, a bounded number a turn, and pauses where the process has no descriptors or no memory left. */
import { ipFamily } from '@ambit/platform/address';
import { EPOLLEXCLUSIVE, EPOLLIN } from '@ambit/platform/epoll';
import { EAGAIN, ECONNABORTED, EINTR, EPERM, EPROTO } from '@ambit/platform/errno';
import {
  acceptedAddress,
  acceptSocket,
  bindSocket,
  closeDescriptor,
  listenSocket,
  localAddress,
  openSocket,
  SystemCallError,
  setNoDelay,
  setReuseAddress,
} from '@ambit/platform/socket';
import type { Connection, EngineTimer, Listener, ListenOptions, SocketAddress, TlsContext } from '../engine.ts';
import { addressText, handlerFault, listenFailed, tlsHandshakeTimeout } from '../errors.ts';
import { Source, UNWATCHED } from './event-loop.ts';
import { ACCEPT_PAUSE_MS, ACCEPTS_PER_TURN, HANDSHAKE_TIMEOUT_MS, LISTEN_BACKLOG } from './limits.ts';
import type { Shared } from './shared.ts';
import type { SocketConnection } from './socket-connection.ts';
import { TcpConnection } from './tcp-connection.ts';
import { TlsConnection } from './tls-connection.ts';
import { ReactorTlsContext } from './tls-context.ts';

/** What ends one connection before it was taken, and says nothing of the next (accept(2)). */
const PASSING: ReadonlySet<number> = new Set([EINTR, ECONNABORTED, EPROTO, EPERM]);

export class ReactorListener extends Source implements Listener {
  readonly address: SocketAddress;
  readonly #shared: Shared;
  readonly #onConnection: (connection: Connection) => void;
  readonly #handshakeTimeoutMs: number;
  readonly #ownsDescriptor: boolean;
  #tls: ReactorTlsContext | null;
  #pause: EngineTimer | null = null;
  #closed = false;

  constructor(shared: Shared, options: ListenOptions, onConnection: (connection: Connection) => void) {
    super();
    this.#shared = shared;
    this.#onConnection = onConnection;
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    this.#tls = ownContext(options.tls);
    this.#ownsDescriptor = options.fd === undefined;
    const fd = options.fd ?? openListening(options.ip, options.port);
    this.address = localAddress(fd);
    setNoDelay(fd); // what is accepted inherits it
    this.#tls?.retain(); // rotation may release it while it is still in use here
    shared.loop.register(this, fd);
    this.#watch();
  }

  useTls(tls: TlsContext): void {
    if (this.#closed) return;
    const before = this.#tls;
    this.#tls = ownContext(tls);
    this.#tls?.retain();
    before?.release();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pause?.cancel();
    this.#shared.listeners.delete(this);
    if (this.slot >= 0) this.#shared.loop.interest(this, UNWATCHED); // the descriptor may live on
    this.#shared.loop.unregister(this);
    if (this.#ownsDescriptor) closeDescriptor(this.fd);
    this.#tls?.release();
    this.#tls = null;
  }

  onEvents(_events: number): void {
    for (let taken = 0; taken < ACCEPTS_PER_TURN && !this.#closed; taken += 1) {
      if (this.#shared.overBudget()) {
        this.#pauseAccepting();
        return;
      }
      const fd = acceptSocket(this.fd);
      if (fd >= 0) this.#take(fd);
      else if (fd === -EAGAIN) return;
      else if (!PASSING.has(-fd)) {
        this.#pauseAccepting(); // no descriptors, no memory, or something that another try at once would not mend
        return;
      }
    }
  }

  onReady(): void {}

  onHandshake(): void {}

  onFlush(): void {}

  onDeferred(): void {}

  /** What accepting throws must not end the accepting. */
  onFault(thrown: unknown): void {
    this.#shared.counters.handlerFaults += 1;
    this.#shared.onFault(thrown);
  }

  #take(fd: number): void {
    this.#shared.counters.accepted += 1;
    const remote = acceptedAddress();
    if (this.#tls !== null) {
      try {
        this.#startHandshake(fd, remote, this.#tls);
      } catch (thrown) {
        closeDescriptor(fd); // there was no memory for it
        throw thrown;
      }
      return;
    }
    const connection = new TcpConnection(this.#shared, remote, false);
    this.#adopt(connection, fd);
    connection.open();
    this.#handOver(connection);
  }

  #startHandshake(fd: number, remote: SocketAddress, tls: ReactorTlsContext): void {
    const timeoutMs = this.#handshakeTimeoutMs;
    const connection = new TlsConnection(this.#shared, fd, remote, false, tls, {
      onEstablished: (established) => {
        deadline.cancel();
        this.#handOver(established);
      },
      onHandshakeFailed: () => deadline.cancel(),
    });
    const deadline = this.#shared.loop.after(timeoutMs, () =>
      connection.abort(tlsHandshakeTimeout(addressText(remote.ip, remote.port), false, timeoutMs)),
    );
    this.#adopt(connection, fd);
  }

  #adopt(connection: SocketConnection, fd: number): void {
    this.#shared.open.add(connection);
    this.#shared.loop.register(connection, fd);
    connection.watchReads();
  }

  #handOver(connection: SocketConnection): void {
    try {
      this.#onConnection(connection);
      if (connection.receiver === null && !connection.closed) throw new Error('onConnection set no receiver');
    } catch (thrown) {
      connection.onFault(handlerFault('onConnection', thrown));
    }
  }

  #watch(): void {
    this.#shared.loop.interest(this, EPOLLIN | EPOLLEXCLUSIVE);
  }

  #pauseAccepting(): void {
    this.#shared.counters.acceptPauses += 1;
    this.#shared.loop.interest(this, UNWATCHED);
    this.#pause = this.#shared.loop.after(ACCEPT_PAUSE_MS, () => this.#watch());
  }
}

function ownContext(tls: TlsContext | undefined): ReactorTlsContext | null {
  if (tls === undefined) return null;
  if (!(tls instanceof ReactorTlsContext)) throw new TypeError('a TLS context belongs to the engine that made it');
  return tls;
}

function openListening(ip: string, port: number): number {
  let fd = -1;
  try {
    fd = openSocket({ family: ipFamily(ip), type: 'stream' });
    setReuseAddress(fd);
    bindSocket(fd, ip, port);
    listenSocket(fd, LISTEN_BACKLOG);
    return fd;
  } catch (thrown) {
    if (fd >= 0) closeDescriptor(fd);
    if (thrown instanceof SystemCallError) throw listenFailed(addressText(ip, port), thrown.message);
    throw thrown;
  }
}
