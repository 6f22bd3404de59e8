/**
 * The server's side of HBONE (reference 4.1): takes verified TLS connections from a listener, lets in peers of its own
 * trust domain, and asks its handler about each CONNECT. The handler may answer at once or later, and connects upstream
 * first: 200 says that the bytes will arrive. Nothing of a stream is passed on before.
 */
import { AmbitError } from '@ambit/base/errors';
import type { Identity } from '@ambit/model/identity';
import { type HboneCall, parseHboneRequest } from '@ambit/wire/hbone';
import { type HeaderList, Http2ErrorCode, type Http2Options, type Http2StreamLike } from '@ambit/wire/http2';
import type { Connection, Duplex, Engine, EngineTimer, SocketAddress } from '../engine.ts';
import { HBONE_LIMITS, type HboneLimits } from '../limits.ts';
import { hboneError } from './errors.ts';
import { http2Options } from './http2-options.ts';
import { clientIdentity, DEAF } from './peer-identity.ts';
import { HboneSession, type SessionOwner } from './session.ts';
import { HboneStream, type StreamOpening } from './stream.ts';

/** One CONNECT of a known peer. */
export interface InboundCall {
  readonly peer: Identity;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  readonly connect: HboneCall;
}

/** The answer to a call: one of the two, once, now or later. */
export interface ConnectResponder {
  /** Set it to hear that the client gave up before it was answered; what it accepts after that is closed already. */
  onAbandoned: ((error: AmbitError | null) => void) | null;
  /** Sends 200 with these headers. The stream wants its receiver before the caller returns to the engine. */
  accept(headers: HeaderList): Duplex;
  /** Sends this status and ends the stream; what the client had sent already is dropped. */
  refuse(status: number): void;
}

export type ConnectHandler = (call: InboundCall, responder: ConnectResponder) => void;

export interface HboneServerOptions {
  readonly engine: Engine;
  /** Our own: clients of another are turned away. */
  readonly trustDomain: string;
  readonly onConnect: ConnectHandler;
  readonly limits?: HboneLimits;
}

/** Plain numbers, for metrics. */
export interface ServerCounters {
  /** Open now. */
  connections: number;
  accepted: number;
  /** Turned away because there were too many, or the server drains. */
  connectionsRefused: number;
  identitiesRefused: number;
  calls: number;
  /** Not a CONNECT that could be read: answered 400 without asking the handler. */
  callsMalformed: number;
  callsRefused: number;
  callsAccepted: number;
  /** The client gave up before the answer. */
  callsAbandoned: number;
  keepaliveTimeouts: number;
  handlerFaults: number;
}

export class HboneServer implements SessionOwner {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  readonly counters: ServerCounters = noCounts();
  readonly #trustDomain: string;
  readonly #onConnect: ConnectHandler;
  readonly #sessions = new Set<HboneSession>();
  #draining = false;
  #drainTimer: EngineTimer | null = null;
  #onDrained: (() => void) | null = null;

  constructor(options: HboneServerOptions) {
    this.engine = options.engine;
    this.limits = options.limits ?? HBONE_LIMITS;
    this.http2Options = http2Options('server', this.engine, this.limits);
    this.#trustDomain = options.trustDomain;
    this.#onConnect = options.onConnect;
  }

  /** For `Engine.listen`. */
  accept(connection: Connection): void {
    const peer = this.#admit(connection);
    if (peer instanceof AmbitError) {
      connection.receive(DEAF);
      connection.abort(peer);
      return;
    }
    this.counters.accepted++;
    this.counters.connections++;
    this.#sessions.add(new HboneSession(this, connection, peer));
  }

  /** No new streams; those there are may finish until the deadline. Listeners are the caller's to close first. */
  drain(deadlineMs: number, onDrained: () => void): void {
    this.#draining = true;
    this.#onDrained = onDrained;
    this.#drainTimer = this.engine.after(deadlineMs, () => this.close());
    for (const session of [...this.#sessions]) session.drain();
    this.#tellIfDrained();
  }

  /** Everything ends at once. */
  close(): void {
    this.#draining = true;
    const error = hboneError('HBONE_DRAINED', 'connection closed due to connection drain');
    for (const session of [...this.#sessions]) session.close(error);
    this.#tellIfDrained();
  }

  // Called by the sessions.

  onRequest(session: HboneSession, stream: Http2StreamLike, headers: HeaderList): void {
    this.counters.calls++;
    const { call, refusal } = parseHboneRequest(headers);
    if (refusal !== null) {
      this.counters.callsMalformed++;
      answer(stream, refusal.status);
      return;
    }
    const responder = new Responder(stream, session, this.counters);
    const { remote, local } = session.connection;
    try {
      this.#onConnect({ peer: session.peer, remote, local, connect: call }, responder);
    } catch {
      this.counters.handlerFaults++;
      responder.refuse(503);
    }
  }

  onSessionChange(): void {}

  onSessionClose(session: HboneSession): void {
    if (this.#sessions.delete(session)) this.counters.connections--;
    this.#tellIfDrained();
  }

  countFault(): void {
    this.counters.handlerFaults++;
  }

  countKeepaliveTimeout(): void {
    this.counters.keepaliveTimeouts++;
  }

  #admit(connection: Connection): Identity | AmbitError {
    if (this.#draining || this.#sessions.size >= this.limits.serverConnectionsMax) {
      this.counters.connectionsRefused++;
      return hboneError('HBONE_SERVER_FULL', `${this.#sessions.size} connections are open, or the server is draining`);
    }
    const peer = clientIdentity(connection, this.#trustDomain);
    if (peer instanceof AmbitError) this.counters.identitiesRefused++;
    return peer;
  }

  #tellIfDrained(): void {
    if (!this.#draining || this.#sessions.size > 0) return;
    this.#drainTimer?.cancel();
    const onDrained = this.#onDrained;
    this.#onDrained = null;
    if (onDrained !== null) this.engine.after(0, onDrained);
  }
}

class Responder implements ConnectResponder, StreamOpening {
  onAbandoned: ((error: AmbitError | null) => void) | null = null;
  readonly #http2: Http2StreamLike;
  readonly #stream: HboneStream;
  readonly #counters: ServerCounters;
  #answered = false;

  constructor(http2: Http2StreamLike, session: HboneSession, counters: ServerCounters) {
    this.#http2 = http2;
    this.#counters = counters;
    this.#stream = new HboneStream(http2, session, this);
  }

  accept(headers: HeaderList): Duplex {
    const first = this.#answer();
    this.#stream.opened();
    if (first && !this.#http2.closed) {
      this.#counters.callsAccepted++;
      this.#http2.sendHeaders([':status', '200', ...headers], false);
    }
    return this.#stream;
  }

  refuse(status: number): void {
    if (!this.#answer()) return;
    this.#counters.callsRefused++;
    this.#stream.opened();
    answer(this.#http2, status);
  }

  onHeaders(): void {}

  onGone(error: AmbitError | null): void {
    if (!this.#answer()) return;
    this.#counters.callsAbandoned++;
    try {
      this.onAbandoned?.(error);
    } catch {
      this.#counters.handlerFaults++;
    }
  }

  /** True once. */
  #answer(): boolean {
    const first = !this.#answered;
    this.#answered = true;
    return first;
  }
}

/** A whole response. The rest of the request is not wanted (RFC 9113 section 8.1). */
function answer(stream: Http2StreamLike, status: number): void {
  stream.sendHeaders([':status', String(status)], true);
  if (!stream.closed) stream.reset(Http2ErrorCode.NO_ERROR);
}

function noCounts(): ServerCounters {
  return {
    connections: 0,
    accepted: 0,
    connectionsRefused: 0,
    identitiesRefused: 0,
    calls: 0,
    callsMalformed: 0,
    callsRefused: 0,
    callsAccepted: 0,
    callsAbandoned: 0,
    keepaliveTimeouts: 0,
    handlerFaults: 0,
  };
}
