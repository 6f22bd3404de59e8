/**
 * The pool's part for one key: its connections, the one dial that may run, and the tunnels that wait for it. As Istio's
 * ztunnel (reference 3.6) one dial at a time; unlike it a failed dial wakes the next waiter, waiters have a deadline,
 * and connections are bounded.
 *
 * A connection is used until checking it out fills it (active + 1 >= cap): then it leaves for good, carries its streams
 * to their end, and the next tunnel dials. `sessions` holds what may still be checked out, `all` what lives.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { Http2Options } from '@ambit/wire/http2';
import type { Connection, ConnectResult, Engine, EngineTimer, Receiver } from '../engine.ts';
import { addressText } from '../errors.ts';
import type { HboneLimits } from '../limits.ts';
import { HboneStatusError, hboneError } from './errors.ts';
import { serverIdentity } from './peer-identity.ts';
import { HboneSession, type SessionOwner } from './session.ts';
import type { Tunnel, TunnelQueue, TunnelRequest } from './tunnel.ts';

export const HBONE_PORT = 15008;

/** Plain numbers, for metrics. */
export interface PoolCounters {
  /** Open now. */
  connections: number;
  dials: number;
  dialsFailed: number;
  /** Tunnels asked for on a connection that was there. */
  reused: number;
  /** Connections that left because checking them out filled them. */
  retired: number;
  idleReleased: number;
  keepaliveTimeouts: number;
  /** Servers that were not whom they should be. */
  identitiesRefused: number;
  tunnelsOpened: number;
  tunnelsFailed: number;
  /** Requests that went to another connection because the peer never looked at them. */
  retried: number;
  /** Waiting now. */
  waiting: number;
  handlerFaults: number;
}

/** What all destinations of a pool share. */
export interface DestinationHost {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  readonly counters: PoolCounters;
  readonly draining: boolean;
  /** Room for one more connection, made by releasing an idle one if need be. */
  makeRoom(): boolean;
  sessionIdle(session: HboneSession): void;
  sessionBusy(session: HboneSession): void;
  /** Nothing is left of this destination. */
  remove(key: string): void;
}

export class Destination implements SessionOwner, ConnectResult, TunnelQueue {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  lastDialError: AmbitError | null = null;
  readonly #key: string;
  readonly #host: DestinationHost;
  readonly #waiting = new Set<Tunnel>();
  readonly #all = new Set<HboneSession>();
  /** May be checked out; the newest last. */
  #sessions: HboneSession[] = [];
  #dial: EngineTimer | null = null;
  #dialFor: Tunnel | null = null;
  /** The peer's limit as last seen: on a new connection its SETTINGS are not there yet. */
  #peerStreamsMax = Number.POSITIVE_INFINITY;

  constructor(key: string, host: DestinationHost) {
    this.#key = key;
    this.#host = host;
    this.engine = host.engine;
    this.limits = host.limits;
    this.http2Options = host.http2Options;
  }

  /** The tunnel is asked for on a connection that is there, or waits for one. */
  open(tunnel: Tunnel): void {
    if (this.#waiting.size >= this.limits.waitersPerKeyMax) {
      const message = `${this.#waiting.size} calls wait for a connection to the destination already`;
      this.after(0, () => tunnel.fail(hboneError('HBONE_POOL_FULL', message)));
      return;
    }
    this.#enlist(tunnel);
    this.#pump(null);
  }

  /** Everything ends now. */
  close(error: AmbitError): void {
    this.#dial?.cancel();
    this.#dial = null;
    for (const tunnel of [...this.#waiting]) tunnel.fail(error);
    for (const session of [...this.#all]) session.close(error);
    this.#removeIfEmpty();
  }

  /** The session carries nothing: it ends. */
  release(session: HboneSession): void {
    this.#takeOut(session);
    session.close(hboneError('HBONE_DRAINED', 'the connection was idle'));
  }

  // The queue of tunnels.

  enqueue(tunnel: Tunnel): void {
    this.#host.counters.retried++;
    this.#enlist(tunnel);
    // Not now: the session that refused it is still telling its other streams.
    this.after(0, () => this.#pump(null));
  }

  forget(tunnel: Tunnel): void {
    if (this.#waiting.delete(tunnel)) this.#host.counters.waiting--;
  }

  after(delayMs: number, callback: () => void): EngineTimer {
    return this.engine.after(delayMs, callback);
  }

  countOpened(): void {
    this.#host.counters.tunnelsOpened++;
  }

  countFailed(): void {
    this.#host.counters.tunnelsFailed++;
  }

  countFault(): void {
    this.#host.counters.handlerFaults++;
  }

  // The dial.

  onOpen(connection: Connection): void {
    const first = this.#endDial();
    const peer = serverIdentity(connection, this.#server.destinationIdentities);
    if (peer instanceof AmbitError) {
      connection.receive(DEAF);
      connection.abort(peer);
      this.#host.counters.identitiesRefused++;
      this.#dialFailed(peer, first);
      return;
    }
    this.lastDialError = null;
    const session = new HboneSession(this, connection, peer);
    this.#host.counters.connections++;
    this.#all.add(session);
    this.#sessions.push(session);
    this.#pump(session);
    if (session.http2.activeStreams === 0) this.onSessionChange(session);
  }

  onFail(error: AmbitError): void {
    this.#dialFailed(explained(error, this.#server.destinationPort), this.#endDial());
  }

  // The connections.

  /** Never: a client is sent no requests. */
  onRequest(): void {}

  onSessionChange(session: HboneSession): void {
    if (session.closed) return;
    const peerStreamsMax = session.http2.peerConcurrentStreamsMax;
    if (peerStreamsMax < this.limits.clientStreamsMax) this.#peerStreamsMax = peerStreamsMax;
    if (session.http2.activeStreams > 0) return;
    if (session.retired || this.#host.draining || !this.#sessions.includes(session)) this.release(session);
    else this.#host.sessionIdle(session);
  }

  onSessionClose(session: HboneSession): void {
    this.#takeOut(session);
    if (!this.#all.delete(session)) return;
    this.#host.counters.connections--;
    this.#host.sessionBusy(session);
    this.#removeIfEmpty();
  }

  countKeepaliveTimeout(): void {
    this.#host.counters.keepaliveTimeouts++;
  }

  #enlist(tunnel: Tunnel): void {
    if (!this.#waiting.has(tunnel)) this.#host.counters.waiting++;
    this.#waiting.add(tunnel);
    tunnel.wait();
  }

  /** Serves the waiting from the connections there are, then dials for the rest. `fresh` was just made for them. */
  #pump(fresh: HboneSession | null): void {
    for (const tunnel of [...this.#waiting]) {
      const session = this.#checkOut(fresh);
      if (session === null) break;
      if (!this.#waiting.has(tunnel)) continue;
      if (tunnel.ask(session)) this.forget(tunnel);
      else this.#takeOut(session);
    }
    if (this.#dial === null) this.#startDial();
  }

  #checkOut(fresh: HboneSession | null): HboneSession | null {
    for (;;) {
      const session = this.#sessions.at(-1);
      if (session === undefined) return null;
      const active = session.http2.activeStreams;
      // A new connection carries at least one: only its own SETTINGS can say that it may not.
      const remembered = session === fresh ? Math.max(1, this.#peerStreamsMax) : this.#peerStreamsMax;
      const cap = Math.min(this.limits.clientStreamsMax, session.http2.peerConcurrentStreamsMax, remembered);
    }
  }
}
