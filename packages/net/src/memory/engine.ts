/** One engine of a simulated network: the listeners, connects and timers of one process. */
import { assert } from '@ambit/base/assert';
import type {
  Connection,
  ConnectOptions,
  ConnectResult,
  Engine,
  EngineCounters,
  EngineTimer,
  Listener,
  ListenOptions,
  SocketAddress,
  TlsContext,
  TlsMaterial,
} from '../engine.ts';
import { addressText, engineClosed, listenFailed } from '../errors.ts';
import { Attempt, type AttemptHost, type Reached } from './attempt.ts';
import { Endpoint } from './endpoint.ts';
import { type ListenerHost, MemoryListener } from './listener.ts';
import type { ScheduledEvent } from './schedule.ts';
import { asMemoryContext, MemoryTlsContext } from './tls.ts';
import type { World } from './world.ts';

export interface MemoryEngineOptions {
  /** What `0.0.0.0` and `::` stand for, and where connects come from. */
  readonly ips?: readonly string[];
  /** Sockets at once; above it accepting pauses and connecting fails with EMFILE. */
  readonly descriptorsMax?: number;
}

/** The part of the network that finds listeners. */
export interface AddressBook {
  /** Throws `LISTEN_FAILED`. Port 0 is replaced by a free one. */
  bind(ips: readonly string[], port: number, make: (port: number) => MemoryListener): MemoryListener;
  unbind(listener: MemoryListener): void;
  reach(to: SocketAddress): Reached;
  freePort(): number;
  nameEndpoint(): string;
}

/** As ztunnel's HBONE accept deadline, where the caller names none. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** When Linux gives up after six SYNs. */
const CONNECT_TIMEOUT_MS = 127_000;

export class MemoryEngine implements Engine, ListenerHost, AttemptHost {
  readonly name: string;
  readonly world: World;
  readonly ips: readonly string[];
  readonly counters: EngineCounters = {
    connections: 0,
    accepted: 0,
    connected: 0,
    handlerFaults: 0,
    handshakesFailed: 0,
    acceptPauses: 0,
    queuedBytes: 0,
  };

  readonly #book: AddressBook;
  readonly #descriptorsMax: number;
  #descriptors = 0;
  #acceptPaused = false;
  readonly #listeners = new Set<MemoryListener>();
  readonly #endpoints = new Set<Endpoint>();
  readonly #attempts = new Set<Attempt>();
  readonly #timers = new Set<ScheduledEvent>();
  #closed = false;
  readonly #emptied: (() => void)[] = [];

  constructor(name: string, world: World, book: AddressBook, options: MemoryEngineOptions) {
    this.name = name;
    this.world = world;
    this.#book = book;
    this.ips = options.ips ?? ['127.0.0.1', '::1'];
    this.#descriptorsMax = options.descriptorsMax ?? Number.POSITIVE_INFINITY;
  }

  nowMs(): number {
    return this.world.schedule.nowMs;
  }

  after(delayMs: number, callback: () => void): EngineTimer {
    const { schedule } = this.world;
    const event = schedule.after(delayMs, () => {
      this.#timers.delete(event);
      try {
        callback();
      } catch {
        this.counters.handlerFaults += 1;
      }
    });
    this.#timers.add(event);
    return {
      cancel: () => {
        this.#timers.delete(event);
        schedule.cancel(event);
      },
    };
  }

  tlsContext(material: TlsMaterial): TlsContext {
    return new MemoryTlsContext(material);
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener {
    if (this.#closed) throw engineClosed();
    const text = addressText(options.ip, options.port);
    if (options.fd !== undefined) throw listenFailed(text, 'a simulated network has no descriptors');
    const ips = isWildcard(options.ip) ? this.ips : [canonicalIp(options.ip)];
    const listener = this.#book.bind(ips, options.port, (port) => {
      const address = { ip: options.ip, port };
      return new MemoryListener(this, address, options, HANDSHAKE_TIMEOUT_MS, onConnection);
    });
    this.#listeners.add(listener);
    return listener;
  }

  connect(options: ConnectOptions, result: ConnectResult): EngineTimer {
    if (this.#closed) throw engineClosed();
    const remote = { ip: canonicalIp(options.ip), port: options.port };
    const local = { ip: options.sourceIp ?? this.#sourceIp(remote.ip), port: this.#book.freePort() };
    const tls = options.tls === undefined ? null : asMemoryContext(options.tls);
    const attempt = new Attempt(this, local, remote, tls, options.timeoutMs ?? CONNECT_TIMEOUT_MS, result);
    this.#attempts.add(attempt);
    attempt.start();
    return attempt;
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const listener of [...this.#listeners]) listener.close();
    for (const event of this.#timers) this.world.schedule.cancel(event);
    this.#timers.clear();
    const error = engineClosed();
    for (const attempt of [...this.#attempts]) this.world.schedule.after(0, () => attempt.fail(error));
    for (const endpoint of [...this.#endpoints]) endpoint.terminate(error, true);
    return new Promise((resolve) => {
      this.#emptied.push(resolve);
      this.#resolveIfEmpty();
    });
  }

  /** Resets every connection for which `chosen` says so, as a failing network does. */
  breakConnections(chosen: (connection: Connection) => boolean): void {
    for (const endpoint of [...this.#endpoints])
      if (endpoint.state === 'open' && chosen(endpoint)) endpoint.breakDown();
  }

  takeDescriptor(): boolean {
    if (this.#descriptors >= this.#descriptorsMax) return false;
    this.#descriptors += 1;
    return true;
  }

  acceptPaused(): void {
    if (!this.#acceptPaused) this.counters.acceptPauses += 1;
    this.#acceptPaused = true;
  }

  accepted(endpoint: Endpoint): void {
    this.counters.accepted += 1;
    this.#endpoints.add(endpoint);
  }

  listenerClosed(listener: MemoryListener): void {
    this.#listeners.delete(listener);
    this.#book.unbind(listener);
    this.#resolveIfEmpty();
  }

  reach(to: SocketAddress): Reached {
    return this.#book.reach(to);
  }

  nameEndpoint(): string {
    return this.#book.nameEndpoint();
  }

  dialled(endpoint: Endpoint): void {
    this.#endpoints.add(endpoint);
  }

  attemptOver(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    this.#resolveIfEmpty();
  }

  /** An end that was never accepted holds nothing yet. */
  gone(endpoint: object): void {
    const held = !(endpoint instanceof Endpoint) || this.#endpoints.delete(endpoint);
    if (!held) return;
    this.#descriptors -= 1;
    assert(this.#descriptors >= 0, 'a descriptor is given back once');
    this.#acceptPaused = false;
    for (const listener of this.#listeners) listener.acceptWaiting();
    this.#resolveIfEmpty();
  }

  #resolveIfEmpty(): void {
    if (!this.#closed || this.#listeners.size + this.#endpoints.size + this.#attempts.size > 0) return;
    for (const resolve of this.#emptied.splice(0)) resolve();
  }

  #sourceIp(remoteIp: string): string {
    const sameFamily = this.ips.find((ip) => ip.includes(':') === remoteIp.includes(':'));
    return sameFamily ?? remoteIp;
  }
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::';
}

/** An IPv4-mapped address is the IPv4 address. */
function canonicalIp(ip: string): string {
  return ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice('::ffff:'.length) : ip;
}
