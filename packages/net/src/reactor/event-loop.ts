/**
 * The epoll loop, with Node's own loop nested in it: without that no promise, timer, gRPC call or signal would ever run.
 * libuv's descriptor is one more in our epoll; when it is readable, when one of Node's timers is due, or after a
 * millisecond of our own work, we return to Node and continue from `setImmediate`.
 *
 * A turn is a list: events, handshakes (few, they are dear), streams that have more to read, timers, then what was
 * written goes out, and last the streams that ended say so, from where no receiver is running.
 */

import { performance } from 'node:perf_hooks';
import type { Clock } from '@ambit/base/clock';
import { TimerWheel } from '@ambit/base/timer-wheel';
import { EPOLLIN, Epoll } from '@ambit/platform/epoll';
import { nodeLoopDescriptor, nodeLoopTimeoutMs } from '@ambit/platform/uv';
import type { EngineTimer } from '../engine.ts';
import { HANDSHAKES_PER_TURN, NODE_TURN_MS, SETTLE_ROUNDS_MAX, WAIT_MAX_MS } from './limits.ts';

/** Not watched by epoll at all. */
export const UNWATCHED = -1;
const NODE_SLOT = 0;

/** Something with a descriptor. All methods are called by the loop, inside its guard. */
export abstract class Source {
  fd = -1;
  slot = -1;
  generation = 0;
  /** Events that epoll was asked for. */
  watched = UNWATCHED;
  inReady = false;
  inDirty = false;
  inHandshakes = false;

  abstract onEvents(events: number): void;
  /** Has its turn again although epoll knows of nothing: a budget ran out, or credit came back. */
  abstract onReady(): void;
  abstract onHandshake(): void;
  /** End of a turn in which it wrote. */
  abstract onFlush(): void;
  /** It is closed; tell the receiver. */
  abstract onDeferred(): void;
  abstract onFault(thrown: unknown): void;
}

export class EventLoop implements Clock {
  readonly timers: TimerWheel;
  readonly #epoll = new Epoll();
  readonly #slots: (Source | null)[] = [null];
  readonly #freeSlots: number[] = [];
  #generation = 0;
  #ready: Source[] = [];
  #readyNext: Source[] = [];
  #dirty: Source[] = [];
  #dirtyNext: Source[] = [];
  #deferred: Source[] = [];
  #deferredNext: Source[] = [];
  #handshakes: Source[] = [];
  #handshakeHead = 0;
  /** Callbacks ran since Node's loop had its turn: promises may be waiting to continue. */
  #callbacksRan = false;
  #nodeReady = false;
  #stopped = false;
  /** libuv's sleep is zero when nothing holds its loop open, which would make ours spin. */
  readonly #holdOpen = setInterval(() => {}, 2 ** 30);

  readonly #onFault: (thrown: unknown) => void;

  /** `onFault` gets what no source can be blamed for; it must not throw. */
  constructor(onFault: (thrown: unknown) => void) {
    this.#onFault = onFault;
    this.timers = new TimerWheel(this);
    this.#epoll.add(nodeLoopDescriptor(), EPOLLIN, NODE_SLOT, 0);
    setImmediate(this.#run);
  }

  nowMs(): number {
    return performance.now();
  }

  after(delayMs: number, callback: () => void): EngineTimer {
    return this.timers.schedule(delayMs, callback);
  }

  /** Gives the source a slot; epoll learns of it at the first `interest`. */
  register(source: Source, fd: number): void {
    source.fd = fd;
    source.slot = this.#freeSlots.pop() ?? this.#slots.length;
    this.#generation = (this.#generation + 1) | 0;
    source.generation = this.#generation;
    source.watched = UNWATCHED;
    this.#slots[source.slot] = source;
  }

  /** `next` takes over descriptor, slot and epoll's registration. */
  replace(source: Source, next: Source): void {
    next.fd = source.fd;
    next.slot = source.slot;
    next.generation = source.generation;
    next.watched = source.watched;
    this.#slots[source.slot] = next;
    source.slot = -1;
    source.fd = -1;
  }

  interest(source: Source, events: number): void {
    if (source.watched === events) return;
    if (events === UNWATCHED) this.#epoll.remove(source.fd);
    else if (source.watched === UNWATCHED) this.#epoll.add(source.fd, events, source.slot, source.generation);
    else this.#epoll.modify(source.fd, events, source.slot, source.generation);
    source.watched = events;
  }

  /**
   * Before the caller closes the descriptor, which takes it out of epoll too: an event of one that some other process
   * still holds finds no source of its generation.
   */
  unregister(source: Source): void {
    if (source.slot < 0) return;
    this.#slots[source.slot] = null;
    this.#freeSlots.push(source.slot);
    source.slot = -1;
    source.watched = UNWATCHED;
  }

  markReady(source: Source): void {
    if (source.inReady) return;
    source.inReady = true;
    this.#ready.push(source);
  }

  markDirty(source: Source): void {
    if (source.inDirty) return;
    source.inDirty = true;
    this.#dirty.push(source);
  }

  /** Returns how many are in the queue. */
  queueHandshake(source: Source): number {
    if (!source.inHandshakes) {
      source.inHandshakes = true;
      this.#handshakes.push(source);
    }
    return this.#handshakes.length - this.#handshakeHead;
  }

  /** `onDeferred` once, when no receiver is running any more. */
  defer(source: Source): void {
    this.#deferred.push(source);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#holdOpen);
  }

  readonly #run = (): void => {
    if (this.#stopped) {
      this.#epoll.close();
      return;
    }
    const startMs = this.nowMs();
    // Unreferenced, our own way back does not keep libuv awake: its timeout then tells of Node's other work alone.
    const next = setImmediate(this.#run).unref();
    this.#settle();
    this.#turn(0);
    while (!this.#nodeReady && !this.#stopped && this.nowMs() - startMs < NODE_TURN_MS) {
      const nodeMs = nodeLoopTimeoutMs();
      if (nodeMs === 0) break;
      if (this.#hasWork()) {
        this.#turn(0);
        continue;
      }
      // Something may wait for Node's loop: stay only while events keep coming.
      const waitMs = this.#callbacksRan ? NODE_TURN_MS : WAIT_MAX_MS;
      const events = this.#turn(earliest(earliest(waitMs, nodeMs), this.timers.nextExpiryMs(this.nowMs())));
      if (events === 0) break;
    }
    this.#nodeReady = false;
    this.#callbacksRan = false;
    next.ref();
  };

  #hasWork(): boolean {
    if (this.#ready.length > 0 || this.#handshakeHead < this.#handshakes.length) return true;
    return this.#dirty.length > 0 || this.#deferred.length > 0;
  }

  /** The number of events, which is 0 when the wait ended by itself. */
  #turn(waitMs: number): number {
    const count = this.#epoll.wait(waitMs);
    for (let index = 0; index < count; index += 1) {
      const slot = this.#epoll.slotAt(index);
      if (slot === NODE_SLOT) {
        this.#nodeReady = true;
        continue;
      }
      const source = this.#slots[slot];
      if (source == null || source.generation !== this.#epoll.generationAt(index)) continue;
      try {
        source.onEvents(this.#epoll.eventsAt(index));
      } catch (thrown) {
        this.#fault(source, thrown);
      }
    }
    this.#handshakeStep();
    this.#readyStep();
    this.#timerStep();
    this.#settle();
    if (count > 0) this.#callbacksRan = true;
    return count;
  }

  #handshakeStep(): void {
    for (let taken = 0; taken < HANDSHAKES_PER_TURN && this.#handshakeHead < this.#handshakes.length; ) {
      const source = this.#handshakes[this.#handshakeHead] as Source;
      this.#handshakeHead += 1;
      source.inHandshakes = false;
      if (source.slot < 0) continue;
      taken += 1;
      try {
        source.onHandshake();
      } catch (thrown) {
        this.#fault(source, thrown);
      }
      this.#callbacksRan = true;
    }
    if (this.#handshakeHead === this.#handshakes.length) {
      this.#handshakes.length = 0;
      this.#handshakeHead = 0;
    } else if (this.#handshakeHead > 1024) {
      this.#handshakes = this.#handshakes.slice(this.#handshakeHead);
      this.#handshakeHead = 0;
    }
  }

  #timerStep(): void {
    try {
      this.timers.advance(this.nowMs());
    } catch (thrown) {
      this.#onFault(thrown);
    }
  }

  /** Nothing that an event leads to may end the process: it carries the connections of everybody else. */
  #fault(source: Source, thrown: unknown): void {
    try {
      source.onFault(thrown);
    } catch (again) {
      this.#onFault(again);
    }
  }

  #readyStep(): void {
    const list = this.#ready;
    if (list.length === 0) return;
    this.#ready = this.#readyNext;
    this.#readyNext = list;
    for (const source of list) {
      source.inReady = false;
      if (source.slot < 0) continue;
      try {
        source.onReady();
      } catch (thrown) {
        this.#fault(source, thrown);
      }
    }
    list.length = 0;
    this.#callbacksRan = true;
  }

  /** Mostly until nothing is left to send or to say: what is said may write, and what is written may end a stream. */
  #settle(): void {
    for (let round = 0; round < SETTLE_ROUNDS_MAX; round += 1) {
      if (this.#dirty.length === 0 && this.#deferred.length === 0) return;
      this.#flushStep();
      this.#deferredStep();
    }
  }

  #flushStep(): void {
    const list = this.#dirty;
    this.#dirty = this.#dirtyNext;
    this.#dirtyNext = list;
    for (const source of list) {
      source.inDirty = false;
      if (source.slot < 0) continue;
      try {
        source.onFlush();
      } catch (thrown) {
        this.#fault(source, thrown);
      }
    }
    list.length = 0;
  }

  #deferredStep(): void {
    const list = this.#deferred;
    this.#deferred = this.#deferredNext;
    this.#deferredNext = list;
    for (const source of list) {
      try {
        source.onDeferred();
      } catch (thrown) {
        this.#fault(source, thrown);
      }
      this.#callbacksRan = true;
    }
    list.length = 0;
  }
}

/** The smaller of two waits, where a negative one means without end. */
function earliest(aMs: number, bMs: number): number {
  if (bMs < 0) return aMs;
  return aMs < 0 || bMs < aMs ? bMs : aMs;
}
