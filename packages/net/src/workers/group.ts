/**
 * The parent's side of "processes, not threads" (design, section 4): it owns every listening descriptor and the state,
 * keeps `count` children alive, and gives both to each of them. A child may die at any moment: what it carried is gone,
 * connections that were not accepted yet wait in the listener for its successor.
 */
import { assert } from '@ambit/base/assert';
import { asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import { closeDescriptor } from '@ambit/platform/socket';
import type { EngineTimer } from '../engine.ts';
import type { Reactor } from '../reactor/index.ts';
import { makeCompileCache, removeCompileCache } from './compile-cache.ts';
import { BACKOFF_STEP_MS, LISTENERS_MAX, WORKER_LIMITS, type WorkerLimits } from './limits.ts';
import { encodeRecord, type Json } from './protocol.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { Worker, type WorkerOwner, type WorkerProcess } from './worker.ts';

export interface WorkerGroupOptions {
  readonly reactor: Reactor;
  readonly count: number;
  /** The module that a child runs; it calls `joinParent`. */
  readonly entry: URL;
  readonly argv?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly log: Log;
  onMessage(body: Json, childPid: number): void;
  /** The whole state as of the last `broadcast`, for a child that has none. */
  snapshot(): Iterable<Json>;
  /** What children say through their link; into `log` when left out. */
  onLogLine?(line: string, childPid: number): void;
  readonly limits?: Partial<WorkerLimits>;
}

export interface SharedListener {
  readonly id: string;
  /** Listening. The group's from now on, which closes it when it is removed. */
  readonly fd: number;
  /** Tells the child what the listener is for. */
  readonly purpose: Json;
}

interface EpochWaiter {
  readonly epoch: number;
  resolve(): void;
}

export class WorkerGroup implements WorkerOwner {
  readonly reactor: Reactor;
  readonly log: Log;
  readonly limits: WorkerLimits;
  readonly #options: WorkerGroupOptions;
  readonly #process: WorkerProcess;
  readonly #compileCache: string;
  /** All that run, the draining ones too. */
  readonly #workers = new Set<Worker>();
  readonly #listeners = new Map<string, SharedListener>();
  readonly #backoff = new RestartBackoff();
  /** Children that asked to be replaced, with who comes for them: null while the start waits. */
  readonly #successors = new WeakMap<Worker, Worker | null>();
  readonly #restarts = new Set<EngineTimer>();
  #waiters: EpochWaiter[] = [];
  #epoch = 0;
  #pingTimer: EngineTimer;
  #pingDueMs: number;
  #closed: PromiseWithResolvers<void> | null = null;

  constructor(options: WorkerGroupOptions) {
    this.#options = options;
    this.reactor = options.reactor;
    this.log = options.log;
    this.limits = { ...WORKER_LIMITS, ...options.limits };
    this.#compileCache = makeCompileCache();
    const env = { ...(options.env ?? process.env), NODE_COMPILE_CACHE: this.#compileCache };
    this.#process = { entry: options.entry, argv: options.argv ?? [], env };
    for (let index = 0; index < options.count; index += 1) this.#start();
    this.#pingDueMs = this.reactor.nowMs() + this.limits.pingIntervalMs;
    this.#pingTimer = this.reactor.after(this.limits.pingIntervalMs, this.#ping);
  }

  /** Of the children that take connections. */
  get pids(): readonly number[] {
    return [...this.#workers].filter((worker) => !worker.draining).map((worker) => worker.pid);
  }

  get epoch(): number {
    return this.#epoch;
  }

  addListener(listener: SharedListener): void {
    assert(!this.#listeners.has(listener.id), `listener ${listener.id} is added once`);
    assert(this.#listeners.size < LISTENERS_MAX, 'listeners stay within their limit');
    this.#listeners.set(listener.id, listener);
    for (const worker of this.#serving()) this.#sendListener(worker, listener);
  }

  removeListener(id: string): void {
    const listener = this.#listeners.get(id);
    if (listener === undefined) return;
    this.#listeners.delete(id);
    const bytes = encodeRecord({ type: 'listener-removed', id });
    for (const worker of this.#workers) {
      worker.forgetDescriptor(listener.fd);
      if (!worker.draining) worker.sendEncoded(bytes);
    }
    closeDescriptor(listener.fd);
  }

  /** To every child, the draining ones too, because their connections are re-checked. Returns the new epoch. */
  broadcast(body: Json): number {
    const bytes = encodeRecord({ type: 'state', epoch: this.#epoch + 1, more: false, body });
    this.#epoch += 1;
    for (const worker of this.#workers) worker.sendEncoded(bytes);
    return this.#epoch;
  }

  /** Resolves when the epoch is in force in every child that lives; 0 is the snapshot with which they start. */
  applied(epoch: number): Promise<void> {
    assert(epoch <= this.#epoch, 'only an epoch that was broadcast can be waited for');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ epoch, resolve });
    this.#settleWaiters();
    return promise;
  }

  /** Children stop taking connections and have `drainMs` for the running ones. Resolves when none is left. */
  close({ drainMs }: { readonly drainMs: number }): Promise<void> {
    if (this.#closed !== null) return this.#closed.promise;
    this.#closed = Promise.withResolvers<void>();
    this.#pingTimer.cancel();
    for (const restart of this.#restarts) restart.cancel();
    for (const worker of this.#workers) worker.drain(drainMs);
    for (const { fd } of this.#listeners.values()) {
      for (const worker of this.#workers) worker.forgetDescriptor(fd);
      closeDescriptor(fd);
    }
    this.#listeners.clear();
    this.#finishIfEmpty(this.#closed);
    return this.#closed.promise;
  }

  // Called by the workers.

  onJoined(worker: Worker): void {
    this.log.info('child joined', { child_pid: worker.pid });
    this.#settleWaiters();
    // Whom it replaces has served until now, so that there is no gap.
    for (const other of this.#workers) {
      if (this.#successors.get(other) === worker) other.drain(this.limits.drainMs);
    }
  }

  onApplied(): void {
    this.#settleWaiters();
  }

  onMessage(worker: Worker, body: Json): void {
    try {
      this.#options.onMessage(body, worker.pid);
    } catch (thrown) {
      this.log.error('message of a child failed', { child_pid: worker.pid, error: asAmbitError(thrown) });
    }
  }

  onLogLine(worker: Worker, line: string): void {
    if (this.#options.onLogLine !== undefined) this.#options.onLogLine(line, worker.pid);
    else this.log.info('child', { child_pid: worker.pid, line });
  }

  onReplaceWish(worker: Worker, reason: string): void {
    if (this.#closed !== null || worker.draining || this.#successors.has(worker)) return;
    this.log.warn('child asks to be replaced', { child_pid: worker.pid, reason });
    const delayMs = this.#backoff.death(this.reactor.nowMs());
    this.#startAfter(delayMs, worker);
  }

  onExit(worker: Worker, how: string): void {
    this.#workers.delete(worker);
    this.#settleWaiters();
    if (this.#closed !== null) {
      this.log.info('child ended', { child_pid: worker.pid, how });
      this.#finishIfEmpty(this.#closed);
      return;
    }
    // Its successor runs already, or is on its way.
    if (worker.draining || this.#successors.has(worker)) {
      this.log.info('child ended', { child_pid: worker.pid, how });
      return;
    }
    const delayMs = this.#backoff.death(this.reactor.nowMs());
    this.log.error('child died', { child_pid: worker.pid, how, restart_in_ms: delayMs });
    // Had it come to replace another one, then that one still waits for somebody.
    const predecessor = [...this.#workers].find((other) => this.#successors.get(other) === worker);
    this.#startAfter(delayMs, predecessor ?? null);
  }

  #startAfter(delayMs: number, predecessor: Worker | null): void {
    if (predecessor !== null) this.#successors.set(predecessor, null);
    // Never at once: this may run inside a call of the one that is replaced.
    const timer = this.reactor.after(delayMs, () => {
      this.#restarts.delete(timer);
      try {
        const worker = this.#start();
        if (predecessor !== null) this.#successors.set(predecessor, worker);
      } catch (thrown) {
        const retryMs = Math.max(BACKOFF_STEP_MS, this.#backoff.death(this.reactor.nowMs()));
        this.log.error('child cannot be started', { error: asAmbitError(thrown), restart_in_ms: retryMs });
        this.#startAfter(retryMs, predecessor);
      }
    });
    this.#restarts.add(timer);
  }

  /** Throws, and nothing was started, when the system refuses or the snapshot cannot be encoded. */
  #start(): Worker {
    const bodies = [...this.#options.snapshot()];
    const records = bodies.map((body, index) =>
      encodeRecord({ type: 'state', epoch: this.#epoch, more: index < bodies.length - 1, body }),
    );
    const worker = new Worker(this, this.#process);
    this.#workers.add(worker);
    this.log.info('child started', { child_pid: worker.pid });
    // The state before the listeners, so that no connection is decided on less than all of it.
    if (records.length === 0) worker.joinEpoch = this.#epoch;
    for (const record of records) worker.sendEncoded(record);
    for (const listener of this.#listeners.values()) this.#sendListener(worker, listener);
    return worker;
  }

  #sendListener(worker: Worker, { id, purpose, fd }: SharedListener): void {
    worker.send({ type: 'listener', id, purpose }, [fd]);
  }

  #finishIfEmpty(closed: PromiseWithResolvers<void>): void {
    if (this.#workers.size > 0) return;
    removeCompileCache(this.#compileCache);
    closed.resolve();
  }

  *#serving(): Iterable<Worker> {
    for (const worker of this.#workers) if (!worker.draining) yield worker;
  }

  #settleWaiters(): void {
    let lowest = this.#epoch;
    for (const worker of this.#workers) lowest = Math.min(lowest, worker.appliedEpoch);
    const due = this.#waiters.filter((waiter) => waiter.epoch <= lowest);
    this.#waiters = this.#waiters.filter((waiter) => waiter.epoch > lowest);
    for (const waiter of due) waiter.resolve();
  }

  readonly #ping = (): void => {
    const nowMs = this.reactor.nowMs();
    // A parent that was stopped or starved must not blame its children for the time in which it did not listen.
    const lateMs = nowMs - this.#pingDueMs;
    const forgivenMs = lateMs > this.limits.pingIntervalMs ? lateMs : 0;
    for (const worker of this.#workers) if (!worker.draining) worker.ping(nowMs, forgivenMs);
    this.#pingDueMs = nowMs + this.limits.pingIntervalMs;
    this.#pingTimer = this.reactor.after(this.limits.pingIntervalMs, this.#ping);
  };
}
