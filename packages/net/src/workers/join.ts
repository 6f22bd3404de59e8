/**
 * The child's side: listeners and state come in over descriptor 3, and so do all orders. A child ends when its parent
 * says so or is gone, after draining; signals it leaves to the parent, because a service manager sends them to every
 * process at once, before the parent could tell the mesh.
 */
import { flushCompileCache } from 'node:module';
import { asAmbitError } from '@ambit/base/errors';
import { LogRing } from '@ambit/base/log-ring';
import { closeDescriptor } from '@ambit/platform/socket';
import type { Reactor } from '../reactor/index.ts';
import { type ChannelOwner, ControlChannel } from './channel.ts';
import { LOG_LINE_MAX_CHARS, LOG_RING_LINES, WORKER_LIMITS, type WorkerLimits } from './limits.ts';
import { type ChildRecord, encodeRecord, type Json, type ParentRecord, parseParentRecord } from './protocol.ts';
import { CONTROL_FD } from './worker.ts';

export interface JoinOptions {
  readonly reactor: Reactor;
  /** Listen on `fd` (`ListenOptions.fd`); it stays open until after `onListenerRemoved`. */
  onListener(purpose: Json, fd: number, id: string): void;
  onListenerRemoved(id: string): void;
  /** It is in force when this returns. */
  onMessage(epoch: number, body: Json): void;
  /** The listeners are gone. Resolves when no connection is left; the process ends then, or at the deadline. */
  onDrain(deadlineMs: number): Promise<void>;
  readonly limits?: Partial<WorkerLimits>;
}

export interface ParentLink {
  /** A `LogSink`: never waits; lines beyond a bound are dropped and counted (design, FFI rule 12). */
  log(line: string): void;
  send(body: Json): void;
}

export function joinParent(options: JoinOptions): ParentLink {
  const child = new Child(options);
  return { log: (line) => child.log(line), send: (body) => child.send({ type: 'message', body }) };
}

class Child implements ChannelOwner {
  readonly #options: JoinOptions;
  readonly #limits: WorkerLimits;
  readonly #channel: ControlChannel;
  readonly #lines = new LogRing(LOG_RING_LINES);
  readonly #listeners = new Map<string, number>();
  #draining = false;
  #wished = false;

  constructor(options: JoinOptions) {
    this.#options = options;
    this.#limits = { ...WORKER_LIMITS, ...options.limits };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
    this.#channel = new ControlChannel(options.reactor, CONTROL_FD, this);
    this.send({ type: 'joined' });
    // What was compiled is kept for the successor, whatever becomes of this process (compile-cache.ts).
    flushCompileCache();
    this.#countFaults();
  }

  send(record: ChildRecord): void {
    this.#channel.send(encodeRecord(record));
  }

  log(line: string): void {
    this.#lines.push(line.slice(0, LOG_LINE_MAX_CHARS));
    this.onDrained();
  }

  onRecord(text: string, fds: readonly number[]): void {
    const record = parseParentRecord(text);
    if (record === null || fds.length !== (record.type === 'listener' ? 1 : 0)) {
      for (const fd of fds) closeDescriptor(fd);
      this.#wish('a record of the parent makes no sense');
      return;
    }
    try {
      this.#obey(record, fds[0] ?? -1);
    } catch (thrown) {
      this.#wish(`${record.type}: ${asAmbitError(thrown).message}`);
    }
  }

  /** The parent is gone. */
  onEnd(): void {
    this.#drain(this.#limits.drainMs);
  }

  /** The channel takes lines again. */
  onDrained(): void {
    if (!this.#channel.idle) return;
    this.#lines.drain(
      (line) => {
        this.send({ type: 'log', line });
        return this.#channel.idle;
      },
      (count) => `${count} log lines were dropped`,
    );
  }

  #obey(record: ParentRecord, fd: number): void {
    switch (record.type) {
      case 'listener':
        if (this.#draining) closeDescriptor(fd);
        else {
          this.#listeners.set(record.id, fd);
          this.#options.onListener(record.purpose, fd, record.id);
        }
        return;
      case 'listener-removed':
        this.#removeListener(record.id);
        return;
      case 'state':
        this.#options.onMessage(record.epoch, record.body);
        if (!record.more) this.send({ type: 'applied', epoch: record.epoch });
        return;
      case 'ping':
        this.send({ type: 'pong', sequence: record.sequence });
        return;
      case 'drain':
        this.#drain(record.deadlineMs);
        return;
    }
  }

  #removeListener(id: string): void {
    const fd = this.#listeners.get(id);
    if (fd === undefined) return;
    this.#listeners.delete(id);
    try {
      this.#options.onListenerRemoved(id);
    } finally {
      closeDescriptor(fd);
    }
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    const deadline = Promise.withResolvers<void>();
    this.#options.reactor.after(deadlineMs, deadline.resolve);
    try {
      for (const id of [...this.#listeners.keys()]) this.#removeListener(id);
      await Promise.race([this.#options.onDrain(deadlineMs), deadline.promise]);
      await this.#options.reactor.close();
    } finally {
      process.exit(0);
    }
  }

  /** Asks to be replaced, once. Until then it goes on with what it has. */
  #wish(reason: string): void {
    if (this.#wished || this.#draining) return;
    this.#wished = true;
    this.send({ type: 'replace', reason: reason.slice(0, LOG_LINE_MAX_CHARS) });
  }

  #countFaults(): void {
    const { reactor } = this.#options;
    const faults = reactor.counters.handlerFaults;
    if (faults >= this.#limits.faultsMax) this.#wish(`${faults} handlers threw`);
    else reactor.after(this.#limits.pingIntervalMs, () => this.#countFaults());
  }
}
