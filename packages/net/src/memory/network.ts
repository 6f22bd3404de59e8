/**
 * A simulated network in one process: a clock, addresses, links with faults, and the engines on it. The same seed and the
 * same callbacks give the same events in the same order.
 */
import { assert } from '@ambit/base/assert';
import { type Rng, seededRng } from '@ambit/base/rng';
import type { Connection, SocketAddress } from '../engine.ts';
import { addressText, listenFailed } from '../errors.ts';
import type { Reached } from './attempt.ts';
import { type AddressBook, MemoryEngine, type MemoryEngineOptions } from './engine.ts';
import { LentView } from './lent-view.ts';
import type { MemoryListener } from './listener.ts';
import { Schedule } from './schedule.ts';
import type { World } from './world.ts';

export interface MemoryNetworkOptions {
  readonly seed: number;
  /** One way, for each piece; order within a connection is kept. */
  readonly delayMs?: { readonly min: number; readonly max: number };
  /** Reads and writes do a part of what they could, cut anywhere. On unless said otherwise. */
  readonly pieces?: boolean;
  /** Chance for each written piece that its connection breaks. */
  readonly resetRate?: number;
  /** Chance for each connect. */
  readonly refuseRate?: number;
  readonly dropRate?: number;
  /** What is sent and not read, each way. */
  readonly linkBytes?: number;
  /** What a writer may queue before `writableBytes()` is 0. */
  readonly queueBytes?: number;
  /** Wall clock at time 0, for certificates. */
  readonly wallStartMs?: number;
  /** Called for each event, with its time and the connection's name. */
  readonly trace?: (line: string) => void;
}

const DELAY_MS = { min: 0.05, max: 2 };
/** About what Linux gives a loopback socket without tuning. */
const LINK_BYTES = 64 * 1024;
const QUEUE_BYTES = 128 * 1024;
const WALL_START_MS = Date.UTC(2026, 0, 1);
const FIRST_FREE_PORT = 32_768;
const PORT_MAX = 65_535;
/** One piece in so many is tiny, to cut frames in their headers. */
const TINY_PIECE_ONE_IN = 8;
const TINY_PIECE_BYTES_MAX = 16;
/** A run that has not become idle by then never will. */
const EVENTS_PER_RUN_MAX = 50_000_000;
/** Promises that handlers made get their turn after so many events. */
const EVENTS_PER_TURN = 64;

export class MemoryNetwork implements World, AddressBook {
  readonly schedule = new Schedule();
  readonly rng: Rng;
  readonly view: LentView;
  readonly linkBytes: number;
  readonly queueBytes: number;
  readonly resetRate: number;
  readonly #options: MemoryNetworkOptions;
  readonly #delayMs: { readonly min: number; readonly max: number };
  readonly #engines: MemoryEngine[] = [];
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #refused = new Set<string>();
  readonly #dropped = new Set<string>();
  readonly #redirected = new Map<string, SocketAddress>();
  #nextPort = FIRST_FREE_PORT;
  #endpointsNamed = 0;
  #running = false;

  constructor(options: MemoryNetworkOptions) {
    this.#options = options;
    this.rng = seededRng(options.seed);
    this.view = new LentView(this.rng);
    this.linkBytes = options.linkBytes ?? LINK_BYTES;
    this.queueBytes = options.queueBytes ?? QUEUE_BYTES;
    this.resetRate = options.resetRate ?? 0;
    this.#delayMs = options.delayMs ?? DELAY_MS;
  }

  engine(name: string, options: MemoryEngineOptions = {}): MemoryEngine {
    const engine = new MemoryEngine(name, this, this, options);
    this.#engines.push(engine);
    return engine;
  }

  /** Runs what is due up to `untilMs` and sets the clock to it; without it, until nothing is left to happen. */
  run(untilMs?: number): void {
    assert(!this.#running, 'a network does not run inside itself');
    this.#running = true;
    try {
      let events = 0;
      for (;;) {
        const dueMs = this.schedule.nextDueMs();
        if (dueMs === null || (untilMs !== undefined && dueMs > untilMs)) break;
        this.schedule.runNext();
        events += 1;
        assert(events < EVENTS_PER_RUN_MAX, 'a run comes to an end; with periodic timers, give it a time');
      }
      if (untilMs !== undefined) this.schedule.nowMs = Math.max(this.schedule.nowMs, untilMs);
    } finally {
      this.#running = false;
    }
  }

  /** Runs, with turns for promises in between, until `done`; throws when `timeoutMs` of simulated time were not enough. */
  async settle(done: () => boolean, timeoutMs: number): Promise<void> {
    const deadlineMs = this.schedule.nowMs + timeoutMs;
    let events = 0;
    while (!done()) {
      const dueMs = this.schedule.nextDueMs();
      if (dueMs === null || dueMs > deadlineMs) {
        await new Promise((resolve) => setImmediate(resolve));
        const added = this.schedule.nextDueMs();
        if (!done() && (added === null || added > deadlineMs)) {
          throw new Error(`not settled at ${this.schedule.nowMs.toFixed(3)} ms, and nothing else will happen in time`);
        }
        continue;
      }
      this.schedule.runNext();
      events += 1;
      if (events % EVENTS_PER_TURN === 0) await null;
    }
  }

  /** Connects to this address are refused, whoever listens, until `restore`. */
  refuse(ip: string, port: number): void {
    this.#refused.add(addressText(ip, port));
  }

  /** Connects to this address get no answer until `restore`. */
  drop(ip: string, port: number): void {
    this.#dropped.add(addressText(ip, port));
  }

  restore(ip: string, port: number): void {
    this.#refused.delete(addressText(ip, port));
    this.#dropped.delete(addressText(ip, port));
  }

  /** Connects to `from` arrive at the listener on `to`, which is told `from` as the original destination. */
  redirect(from: SocketAddress, to: SocketAddress): void {
    this.#redirected.set(addressText(from.ip, from.port), to);
  }

  /** Both ends of the chosen connections see a reset. */
  breakConnections(chosen: (connection: Connection) => boolean): void {
    for (const engine of this.#engines) engine.breakConnections(chosen);
  }

  wallMs(): number {
    return (this.#options.wallStartMs ?? WALL_START_MS) + this.schedule.nowMs;
  }

  delayMs(): number {
    const { min, max } = this.#delayMs;
    return min === max ? min : min + this.rng.next() * (max - min);
  }

  pieceBytes(limitBytes: number): number {
    if (this.#options.pieces === false) return limitBytes;
    const tiny = this.rng.integer(TINY_PIECE_ONE_IN) === 0;
    return 1 + this.rng.integer(tiny ? Math.min(limitBytes, TINY_PIECE_BYTES_MAX) : limitBytes);
  }

  trace(text: string): void {
    this.#options.trace?.(`${this.schedule.nowMs.toFixed(3)} ${text}`);
  }

  bind(ips: readonly string[], port: number, make: (port: number) => MemoryListener): MemoryListener {
    const taken = port === 0 ? this.freePort() : port;
    const keys = ips.map((ip) => addressText(ip, taken));
    const inUse = keys.find((key) => this.#listeners.has(key));
    if (inUse !== undefined) throw listenFailed(inUse, 'EADDRINUSE');
    const listener = make(taken);
    for (const key of keys) this.#listeners.set(key, listener);
    return listener;
  }

  unbind(listener: MemoryListener): void {
    for (const [key, bound] of this.#listeners) if (bound === listener) this.#listeners.delete(key);
  }

  reach(to: SocketAddress): Reached {
    const key = addressText(to.ip, to.port);
    if (this.#dropped.has(key) || this.#happens(this.#options.dropRate)) return { is: 'dropped' };
    if (this.#refused.has(key) || this.#happens(this.#options.refuseRate)) return { is: 'refused' };
    const target = this.#redirected.get(key) ?? to;
    const listener = this.#listeners.get(addressText(target.ip, target.port));
    if (listener === undefined || listener.full) return { is: 'refused' };
    return { is: 'listening', listener, at: target };
  }

  freePort(): number {
    this.#nextPort = this.#nextPort >= PORT_MAX ? FIRST_FREE_PORT : this.#nextPort + 1;
    return this.#nextPort;
  }

  nameEndpoint(): string {
    this.#endpointsNamed += 1;
    return `c${this.#endpointsNamed}`;
  }

  #happens(rate: number | undefined): boolean {
    return rate !== undefined && rate > 0 && this.rng.next() < rate;
  }
}
