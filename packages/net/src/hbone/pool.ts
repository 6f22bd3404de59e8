/**
 * The client's side of HBONE: tunnels to many destinations over connections that are shared where, and only where, the
 * source identity, the accepted identities, the destination address and the source address are equal (as Istio's
 * ztunnel, reference 3.6). Counts and bounds connections over all keys, and releases idle ones.
 */
import type { Http2Options } from '@ambit/wire/http2';
import type { Engine, EngineTimer } from '../engine.ts';
import { HBONE_LIMITS, type HboneLimits } from '../limits.ts';
import { Destination, type DestinationHost, type PoolCounters } from './destination.ts';
import { hboneError } from './errors.ts';
import { http2Options } from './http2-options.ts';
import type { HboneSession } from './session.ts';
import { Tunnel, type TunnelRequest, type TunnelResult } from './tunnel.ts';

export interface HbonePoolOptions {
  readonly engine: Engine;
  readonly limits?: HboneLimits;
}

export class HbonePool implements DestinationHost {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  readonly counters: PoolCounters = noCounts();
  draining = false;
  #closed = false;
  readonly #destinations = new Map<string, Destination>();
  /** Without streams, the longest idle first. */
  readonly #idle = new Map<HboneSession, Destination>();
  #idleTimer: EngineTimer | null = null;
  #drainTimer: EngineTimer | null = null;
  #onDrained: (() => void) | null = null;

  constructor(options: HbonePoolOptions) {
    this.engine = options.engine;
    this.limits = options.limits ?? HBONE_LIMITS;
    this.http2Options = http2Options('client', this.engine, this.limits);
  }

  /** Never calls back before it returned. The handle's `cancel` gives up without a call; after `onOpen` it does nothing. */
  openTunnel(request: TunnelRequest, result: TunnelResult): EngineTimer {
    const key = poolKey(request);
    let destination = this.#destinations.get(key);
    if (destination === undefined) {
      destination = new Destination(key, request, this);
      if (!this.#closed) this.#destinations.set(key, destination);
    }
    const tunnel = new Tunnel(request, result, destination, this.limits);
    if (this.#closed) {
      this.engine.after(0, () => tunnel.fail(hboneError('HBONE_POOL_CLOSED', 'the connection pool was closed')));
    } else {
      destination.open(tunnel);
    }
    return tunnel;
  }

  /** Idle connections end now, others with their last stream, all at the deadline. New tunnels are still opened. */
  drain(deadlineMs: number, onDrained: () => void): void {
    this.draining = true;
    this.#onDrained = onDrained;
    this.#drainTimer = this.engine.after(deadlineMs, () => this.close());
    for (const [session, destination] of this.#idle) destination.release(session);
    if (this.#destinations.size === 0) this.#tellDrained();
  }

  /** Everything ends at once. */
  close(): void {
    this.#closed = true;
    const error = hboneError('HBONE_DRAINED', 'connection closed due to connection drain');
    for (const destination of this.#destinations.values()) destination.close(error);
    this.#idleTimer?.cancel();
    this.#tellDrained();
  }

  // Called by the destinations.

  makeRoom(): boolean {
    if (this.counters.connections + this.counters.dialing < this.limits.poolConnectionsMax) return true;
    return this.#releaseOldest();
  }

  sessionIdle(session: HboneSession, destination: Destination): void {
    session.idleSinceMs = this.engine.nowMs();
    this.#idle.delete(session);
    this.#idle.set(session, destination);
    if (this.#idle.size === 1) this.#watchIdle(this.limits.idleReleaseMs);
  }

  sessionBusy(session: HboneSession): void {
    this.#idle.delete(session);
  }

  remove(key: string, destination: Destination): void {
    if (this.#destinations.get(key) === destination) this.#destinations.delete(key);
    if (this.draining && this.#destinations.size === 0) this.#tellDrained();
  }

  #watchIdle(delayMs: number): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = this.engine.after(delayMs, () => this.#releaseIdle());
  }

  #releaseIdle(): void {
    for (const session of this.#idle.keys()) {
      const leftMs = session.idleSinceMs + this.limits.idleReleaseMs - this.engine.nowMs();
      if (leftMs > 0) {
        this.#watchIdle(leftMs);
        return;
      }
      this.#releaseOldest();
    }
  }

  #releaseOldest(): boolean {
    for (const [session, destination] of this.#idle) {
      this.#idle.delete(session);
      this.counters.idleReleased++;
      destination.release(session);
      return true;
    }
    return false;
  }

  #tellDrained(): void {
    this.#drainTimer?.cancel();
    const onDrained = this.#onDrained;
    this.#onDrained = null;
    if (onDrained !== null) this.engine.after(0, onDrained);
  }
}

function poolKey(request: TunnelRequest): string {
  const { sourceIdentity, destinationIdentities, destinationIp, destinationPort, sourceIp } = request;
  return JSON.stringify([sourceIdentity, destinationIdentities, destinationIp, destinationPort, sourceIp]);
}

function noCounts(): PoolCounters {
  return {
    connections: 0,
    dialing: 0,
    dials: 0,
    dialsFailed: 0,
    asked: 0,
    retired: 0,
    idleReleased: 0,
    keepaliveTimeouts: 0,
    identitiesRefused: 0,
    tunnelsOpened: 0,
    tunnelsFailed: 0,
    retried: 0,
    waiting: 0,
    handlerFaults: 0,
  };
}
