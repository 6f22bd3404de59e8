/**
 * The agent's side of ZDS. Several proxies may be connected while one replaces another: pods that come are told to the
 * newest alone, pods that go to all of them.
 */
import type { Log } from '@ambit/base/log';
import type { EngineTimer } from '@ambit/net/engine';
import type { Reactor } from '@ambit/net/reactor';
import { RecordListener } from '@ambit/net/records';
import type { KnownPods } from './known-pods.ts';
import { ZDS_SERVER_LIMITS, type ZdsServerLimits } from './limits.ts';
import { ZdsConnection, type ZdsConnectionOwner, type ZdsOutcome } from './zds-connection.ts';

export interface ZdsServerOptions {
  readonly reactor: Reactor;
  /** `/var/run/ztunnel/ztunnel.sock` where Istio's ztunnel is to find it. */
  readonly path: string;
  readonly pods: KnownPods;
  readonly log: Log;
  readonly limits?: Partial<ZdsServerLimits>;
}

export interface ZdsServerCounters {
  connections: number;
  /** Gone at an order of theirs. */
  disconnections: number;
  /** Given up: late, unasked, unreadable or too many. */
  faults: number;
}

const NO_PROXY: ZdsOutcome = { is: 'untold', reason: 'no proxy is connected' };

export class ZdsServer implements ZdsConnectionOwner {
  readonly counters: ZdsServerCounters = { connections: 0, disconnections: 0, faults: 0 };
  readonly #options: ZdsServerOptions;
  readonly #limits: ZdsServerLimits;
  readonly #connections = new Set<ZdsConnection>();
  /** Those that said hello, the newest last. */
  #greeted: ZdsConnection[] = [];
  #listener: RecordListener | null = null;
  #acceptAgain: EngineTimer | null = null;

  constructor(options: ZdsServerOptions) {
    this.#options = options;
    this.#limits = { ...ZDS_SERVER_LIMITS, ...options.limits };
  }

  /** Proxies that said hello. */
  get proxies(): number {
    return this.#greeted.length;
  }

  /** Not before every pod is known: what a snapshot does not name, the proxy stops. */
  listen(): void {
    this.#listener ??= new RecordListener(this.#options.reactor, this.#options.path, (fd) => this.#onConnection(fd));
  }

  /** The newest proxy acknowledged this pod. */
  hasTold(uid: string): boolean {
    return this.#greeted.at(-1)?.hasTold(uid) ?? false;
  }

  /** The pod is known by now; never rejects. */
  async add(uid: string): Promise<ZdsOutcome> {
    return (await this.#greeted.at(-1)?.add(uid)) ?? NO_PROXY;
  }

  /** The pod is not known any more; settles when every proxy has answered or is gone. */
  async remove(uid: string): Promise<readonly ZdsOutcome[]> {
    return Promise.all(this.#greeted.map((connection) => connection.remove(uid)));
  }

  close(): void {
    this.#acceptAgain?.cancel();
    this.#listener?.close();
    this.#listener = null;
    for (const connection of [...this.#connections]) connection.close(null);
  }

  onHello(connection: ZdsConnection): void {
    this.#greeted.push(connection);
    this.#options.log.info('proxy connected', { proxies: this.#greeted.length });
  }

  onEnd(connection: ZdsConnection, fault: string | null): void {
    this.#connections.delete(connection);
    this.counters[fault === null ? 'disconnections' : 'faults'] += 1;
    const wasNewest = this.#greeted.at(-1) === connection;
    this.#greeted = this.#greeted.filter((each) => each !== connection);
    this.#options.log.warn('proxy disconnected', { fault, proxies: this.#greeted.length });
    if (wasNewest && this.#listener !== null) this.#catchUp();
  }

  /** The proxy before it is the newest again, and was not told of the pods that came meanwhile. */
  #catchUp(): void {
    const newest = this.#greeted.at(-1);
    if (newest === undefined) return;
    for (const uid of this.#options.pods.uids()) if (!newest.hasTold(uid)) void newest.add(uid);
  }

  /** The next one has to wait: evenly spaced, what comes too fast stays in the queue of the kernel. */
  #onConnection(fd: number): void {
    const { reactor, pods, log } = this.#options;
    this.counters.connections += 1;
    const connection = new ZdsConnection({ reactor, pods, log, limits: this.#limits }, fd, this);
    this.#connections.add(connection);
    if (this.#connections.size > this.#limits.connectionsMax) connection.close('too many connections');
    this.#listener?.pause();
    this.#acceptAgain = reactor.after(1000 / this.#limits.connectionsPerSecond, () => this.#listener?.resume());
  }
}
