/**
 * The pool's part for one key: its connections, the one dial that may run, and the tunnels that wait for it. As Istio's
 * ztunnel (reference 3.6) one dial at a time; unlike it a failed dial wakes the next waiter, waiters have a deadline,
 * and connections are bounded.
 *
 * A connection is used until checking it out fills it (active + 1 >= cap): then it leaves for good, carries its streams
 * to their end, and the next tunnel dials. `sessions` holds what may still be checked out, `all` what lives.
 */
import { AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Http2Options } from '@ambit/wire/http2';
import type { Connection, ConnectResult, Engine, EngineTimer } from '../engine.ts';
import type { HboneLimits } from '../limits.ts';
import { hboneError } from './errors.ts';
import { DEAF, serverIdentity } from './peer-identity.ts';
import { HboneSession, type SessionOwner } from './session.ts';
import type { Tunnel, TunnelQueue, TunnelRequest } from './tunnel.ts';

export const HBONE_PORT = 15008;

/** Plain numbers, for metrics. */
export interface PoolCounters {
  /** Open now. */
  connections: number;
  /** Running now. */
  dialing: number;
  dials: number;
  dialsFailed: number;
  /** CONNECTs sent; less the dials, what sharing saved. */
  asked: number;
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
  sessionIdle(session: HboneSession, destination: Destination): void;
  sessionBusy(session: HboneSession): void;
  /** Nothing is left of this destination. */
  remove(key: string, destination: Destination): void;
}

/** Of any request of the key: equal in all, and the rest of it is not kept. */
type Server = Pick<TunnelRequest, 'destinationIdentities' | 'destinationIp' | 'destinationPort'>;

export class Destination implements SessionOwner, ConnectResult, TunnelQueue {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  lastDialError: AmbitError | null = null;
  readonly #key: string;
  readonly #server: Server;
  readonly #host: DestinationHost;
  readonly #waiting = new Set<Tunnel>();
  readonly #all = new Set<HboneSession>();
  /** May be checked out; the newest last. */
  readonly #sessions: HboneSession[] = [];
  #dial: EngineTimer | null = null;
  #dialFor: Tunnel | null = null;
  /** The peer's limit as last seen: on a new connection its SETTINGS are not there yet. */
  #peerStreamsMax = Number.POSITIVE_INFINITY;

  constructor(key: string, server: Server, host: DestinationHost) {
    this.#key = key;
    const { destinationIdentities, destinationIp, destinationPort } = server;
    this.#server = { destinationIdentities, destinationIp, destinationPort };
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
    this.#pump();
  }

  /** Everything ends now. */
  close(error: AmbitError): void {
    this.#dial?.cancel();
    if (this.#dial !== null) this.#endDial();
    for (const tunnel of [...this.#waiting]) tunnel.fail(error);
    for (const session of [...this.#all]) session.close(error);
    this.#removeIfEmpty();
  }

  /** The session carries nothing: it ends. */
  release(session: HboneSession): void {
    this.#takeOut(session);
    session.release();
  }

  // The queue of tunnels.

  enqueue(tunnel: Tunnel): void {
    this.#host.counters.retried++;
    this.#enlist(tunnel);
    // Not now: the session that refused it is still telling its other streams.
    this.after(0, () => this.#pump());
  }

  forget(tunnel: Tunnel): void {
    if (!this.#waiting.delete(tunnel)) return;
    this.#host.counters.waiting--;
    this.#removeIfEmpty();
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
    this.#pump();
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
    const { peerConcurrentStreamsMax } = session.http2;
    // A limit of none is left to each connection to say: remembered, it would never be asked again.
    if (peerConcurrentStreamsMax > 0) this.#peerStreamsMax = peerConcurrentStreamsMax;
    if (session.http2.activeStreams > 0) return;
    if (session.retired || this.#host.draining || !this.#sessions.includes(session)) this.release(session);
    else this.#host.sessionIdle(session, this);
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

  /** Serves the waiting from the connections there are, then dials for the rest. */
  #pump(): void {
    for (const tunnel of this.#waiting) {
      const session = this.#checkOut();
      if (session === null) break;
      this.#host.sessionBusy(session);
      if (tunnel.ask(session)) {
        this.#host.counters.asked++;
        this.forget(tunnel);
        continue;
      }
      this.#discard(session);
      if (!tunnel.mayRetry) tunnel.fail(hboneError('HBONE_POOL_FULL', `${session.peerText} takes no streams`));
    }
    if (this.#dial === null) this.#startDial();
  }

  #checkOut(): HboneSession | null {
    for (;;) {
      const session = this.#sessions.at(-1);
      if (session === undefined) return null;
      const active = session.http2.activeStreams;
      const cap = Math.min(this.limits.clientStreamsMax, session.http2.peerConcurrentStreamsMax, this.#peerStreamsMax);
      if (session.retired || active >= cap) {
        this.#discard(session);
        continue;
      }
      if (active + 1 >= cap) {
        this.#takeOut(session);
        this.#host.counters.retired++;
      }
      return session;
    }
  }

  /** It is not checked out again; what it carries may finish. */
  #takeOut(session: HboneSession): void {
    const index = this.#sessions.indexOf(session);
    if (index >= 0) this.#sessions.splice(index, 1);
  }

  #discard(session: HboneSession): void {
    this.#takeOut(session);
    if (session.http2.activeStreams === 0) this.release(session);
  }

  #startDial(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    if (this.#all.size >= this.limits.connectionsPerKeyMax || !this.#host.makeRoom()) {
      const error = hboneError('HBONE_POOL_FULL', `${this.#all.size} connections go to the destination already`);
      const refused = [...this.#waiting];
      this.after(0, () => {
        for (const tunnel of refused) tunnel.fail(error);
      });
      return;
    }
    const { destinationIp: ip, destinationPort: port } = this.#server;
    const { tls, dial } = first.request;
    this.#host.counters.dials++;
    this.#host.counters.dialing++;
    this.#dialFor = first;
    try {
      this.#dial = this.engine.connect({ ...dial, ip, port, tls, timeoutMs: this.limits.connectTimeoutMs }, this);
    } catch (thrown) {
      // The engine is closed: who waits is told like after any other dial that failed.
      this.after(0, () => this.onFail(asAmbitError(thrown)));
    }
  }

  #endDial(): Tunnel | null {
    const first = this.#dialFor;
    this.#dial = null;
    this.#dialFor = null;
    this.#host.counters.dialing--;
    return first;
  }

  /** Fails the tunnel that it was for, or all of them where another attempt must end the same. */
  #dialFailed(error: AmbitError, first: Tunnel | null): void {
    this.#host.counters.dialsFailed++;
    this.lastDialError = error;
    for (const tunnel of [...this.#waiting]) {
      if (tunnel === first || error.retry === 'never') tunnel.fail(error);
    }
    this.#pump();
    this.#removeIfEmpty();
  }

  #removeIfEmpty(): void {
    if (this.#all.size === 0 && this.#waiting.size === 0 && this.#dial === null) this.#host.remove(this.#key, this);
  }
}

/** As Istio's ztunnel, and in its words: packets that vanish on the way to this port were most often forbidden. */
function explained(error: AmbitError, port: number): AmbitError {
  if (error.code !== 'CONNECT_TIMEOUT' || port !== HBONE_PORT) return error;
  const message = `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: ${error.message}`;
  return hboneError('HBONE_DIAL_TIMEOUT', message, error);
}
