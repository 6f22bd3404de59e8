/** A connection being made: TCP, then TLS where asked for, under one deadline. Tells of its result exactly once. */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import { ipFamily } from '@ambit/platform/address';
import { EPOLLOUT } from '@ambit/platform/epoll';
import { ECONNREFUSED, ETIMEDOUT, errnoName } from '@ambit/platform/errno';
import {
  bindSocket,
  closeDescriptor,
  connectSocket,
  openSocket,
  setNoDelay,
  setTransparent,
  takeSocketError,
} from '@ambit/platform/socket';
import type { ConnectOptions, ConnectResult, EngineTimer } from '../engine.ts';
import {
  addressText,
  connectFailed,
  connectRefused,
  connectTimeout,
  engineClosed,
  handlerFault,
  tlsHandshakeTimeout,
} from '../errors.ts';
import { Source } from './event-loop.ts';
import { CONNECT_TIMEOUT_MS } from './limits.ts';
import type { Shared } from './shared.ts';
import type { SocketConnection } from './socket-connection.ts';
import { TcpConnection } from './tcp-connection.ts';
import { type HandshakeResult, TlsConnection } from './tls-connection.ts';
import type { ReactorTlsContext } from './tls-context.ts';

export class Dial extends Source implements EngineTimer, HandshakeResult {
  readonly #shared: Shared;
  readonly #options: ConnectOptions;
  readonly #tls: ReactorTlsContext | null;
  readonly #result: ConnectResult;
  readonly #deadline: EngineTimer;
  /** The connection in its handshake. */
  #connection: SocketConnection | null = null;
  #error: AmbitError | null = null;
  #done = false;

  constructor(shared: Shared, options: ConnectOptions, tls: ReactorTlsContext | null, result: ConnectResult) {
    super();
    this.#shared = shared;
    this.#options = options;
    this.#tls = tls;
    this.#result = result;
    tls?.retain(); // rotation may release it before the connection takes its own reference
    this.#deadline = shared.loop.after(options.timeoutMs ?? CONNECT_TIMEOUT_MS, () => this.#onTimeout());
    this.#start();
  }

  cancel(): void {
    this.#give(null);
  }

  /** The engine closes: whoever waits for the result is told. */
  closeByEngine(): void {
    this.#give(engineClosed());
  }

  onEvents(_events: number): void {
    const errno = takeSocketError(this.fd);
    if (errno !== 0) {
      this.#give(this.#connectError(errno));
      return;
    }
    const remote = { ip: this.#options.ip, port: this.#options.port };
    const { loop } = this.#shared;
    const connection =
      this.#tls === null
        ? new TcpConnection(this.#shared, remote, true)
        : new TlsConnection(this.#shared, this.fd, remote, true, this.#tls, this);
    this.#shared.open.add(connection);
    this.#shared.dials.delete(this);
    loop.replace(this, connection);
    this.#connection = connection;
    connection.watchOpened();
    if (this.#tls !== null) loop.queueHandshake(connection);
    else {
      connection.open();
      this.#opened(connection);
    }
  }

  onEstablished(connection: TlsConnection): void {
    this.#opened(connection);
  }

  onHandshakeFailed(error: AmbitError): void {
    this.#give(error);
  }

  onReady(): void {}

  onHandshake(): void {}

  onFlush(): void {}

  onDeferred(): void {
    if (this.#error !== null) this.#result.onFail(this.#error);
  }

  onFault(thrown: unknown): void {
    this.#shared.counters.handlerFaults += 1;
    this.#shared.onFault(thrown);
    if (this.#connection === null) this.#give(handlerFault('a dial', thrown));
    else this.#connection.onFault(thrown);
  }

  #start(): void {
    const { ip, port, sourceIp, transparent, mark, namespaceFd } = this.#options;
    let fd = -1;
    try {
      const family = ipFamily(ip);
      fd = openSocket({ family, type: 'stream', namespaceFd, mark });
      setNoDelay(fd);
      if (transparent) setTransparent(fd, family);
      if (sourceIp !== undefined) bindSocket(fd, sourceIp, 0);
      this.#shared.loop.register(this, fd);
      const errno = connectSocket(fd, ip, port);
      if (errno !== 0) this.#give(this.#connectError(errno));
      else {
        this.#shared.dials.add(this);
        this.#shared.loop.interest(this, EPOLLOUT);
      }
    } catch (thrown) {
      if (fd >= 0 && this.slot < 0) closeDescriptor(fd);
      this.#give(connectFailed(addressText(ip, port), asAmbitError(thrown).message));
    }
  }

  #onTimeout(): void {
    const { ip, port, timeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const address = addressText(ip, port);
    const connected = this.#connection !== null;
    this.#give(connected ? tlsHandshakeTimeout(address, true, timeoutMs) : connectTimeout(address, timeoutMs));
  }

  #connectError(errno: number): AmbitError {
    const address = addressText(this.#options.ip, this.#options.port);
    if (errno === ECONNREFUSED) return connectRefused(address);
    if (errno === ETIMEDOUT) return connectTimeout(address, this.#options.timeoutMs ?? CONNECT_TIMEOUT_MS);
    return connectFailed(address, errnoName(errno));
  }

  #opened(connection: SocketConnection): void {
    if (this.#done) return;
    this.#done = true;
    this.#deadline.cancel();
    this.#tls?.release();
    this.#shared.counters.connected += 1;
    try {
      this.#result.onOpen(connection);
    } catch (thrown) {
      connection.onFault(thrown);
    }
  }

  /** Ends it without a connection: with an error that is told, or with null, silently. */
  #give(error: AmbitError | null): void {
    if (this.#done) return;
    this.#done = true;
    this.#deadline.cancel();
    this.#tls?.release();
    this.#error = error;
    this.#shared.dials.delete(this);
    if (this.slot >= 0) {
      this.#shared.loop.unregister(this);
      closeDescriptor(this.fd);
    }
    this.#connection?.release(null);
    if (error !== null) this.#shared.loop.defer(this);
  }
}
