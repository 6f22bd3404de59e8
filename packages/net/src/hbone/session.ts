/**
 * An HTTP/2 session on a TLS connection, for either role: bytes go to the session in place, its frames straight to the
 * connection; tunnels are `HboneStream`s. Owns keepalive (as Istio's ztunnel, reference 3.7) and the end of the
 * connection: GOAWAY and the last frames get `closeGraceMs` to leave.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { Identity } from '@ambit/model/identity';
import {
  type HeaderList,
  Http2ErrorCode,
  type Http2Handler,
  type Http2Options,
  Http2Session,
  type Http2StreamLike,
} from '@ambit/wire/http2';
import type { Connection, Engine, EngineTimer, Receiver } from '../engine.ts';
import { addressText } from '../errors.ts';
import type { HboneLimits } from '../limits.ts';
import { hboneError } from './errors.ts';
import { HboneStream, type StreamHost } from './stream.ts';

/** The part of the pool or the server that sessions belong to. One object for many sessions. */
export interface SessionOwner {
  readonly engine: Engine;
  readonly limits: HboneLimits;
  readonly http2Options: Http2Options;
  /** A request; the owner makes its `HboneStream`. Server role only. */
  onRequest(session: HboneSession, stream: Http2StreamLike, headers: HeaderList): void;
  /** One stream fewer, or the peer's limits changed, or it takes no more streams. */
  onSessionChange(session: HboneSession): void;
  /** The session carries nothing any more; all its streams were told. */
  onSessionClose(session: HboneSession, error: AmbitError | null): void;
  countFault(): void;
  countKeepaliveTimeout(): void;
}

const PING_OPAQUE = new Uint8Array([0x61, 0x6d, 0x62, 0x69, 0x74, 0, 0, 0]);
/** Reading never pauses: the windows bound what may come, and control frames must not wait behind data. */
const CREDIT_BYTES = 2 ** 30;

export class HboneSession implements Http2Handler, StreamHost {
  readonly http2: Http2Session;
  readonly connection: Connection;
  /** Whom the handshake proved the other end to be. */
  readonly peer: Identity;
  /** No new streams: what runs may finish. */
  retired = false;
  closed = false;
  /** The connection broke or was closed; the session did not end it. */
  lost = false;
  /** The pool's: when the last stream ended. */
  idleSinceMs = 0;
  readonly #owner: SessionOwner;
  readonly #timerDue = (): void => this.#onTimer();
  /** Of the next PING, of its answer, and at last of the connection's end. */
  #timer: EngineTimer;
  #awaitsPong = false;
  #deferred: HboneStream[] | null = null;
  #connectionGone = false;

  constructor(owner: SessionOwner, connection: Connection, peer: Identity) {
    this.#owner = owner;
    this.peer = peer;
    this.connection = connection;
    this.http2 = new Http2Session(owner.http2Options, connection, this);
    this.#timer = owner.engine.after(owner.limits.keepaliveIntervalMs, this.#timerDue);
    connection.receive(new ConnectionReceiver(this));
    this.http2.start();
  }

  get unsentBytesMax(): number {
    return this.#owner.limits.unsentBytesMax;
  }

  get peerText(): string {
    return addressText(this.connection.remote.ip, this.connection.remote.port);
  }

  /** Lets the streams finish: GOAWAY, then the end of the connection with the last of them. */
  drain(): void {
    this.retired = true;
    if (!this.closed) this.http2.drain();
  }

  /** Ends with a GOAWAY, now or with the last stream. For a client, whose peer opens none. */
  release(): void {
    this.retired = true;
    if (!this.closed) this.http2.goaway(Http2ErrorCode.NO_ERROR);
  }

  /** Ends streams and connection now. */
  close(error: AmbitError): void {
    this.retired = true;
    if (!this.closed) this.http2.close(error);
  }

  // Called by the connection.

  connectionEnded(error: AmbitError | null): void {
    if (!this.closed) this.lost = true;
    this.close(error ?? hboneError('HBONE_CONNECTION_LOST', `${this.peerText} closed the connection`));
  }

  connectionClosed(error: AmbitError | null): void {
    this.#connectionGone = true;
    if (this.closed) this.#timer.cancel();
    else this.connectionEnded(error);
  }

  // Called by the HTTP/2 session.

  onHeaders(stream: Http2StreamLike, headers: HeaderList, endStream: boolean): void {
    const kind = stream.headersKind;
    if (kind === 'request') this.#owner.onRequest(this, stream, headers);
    else if (kind === 'response') tunnelOf(stream)?.onHeaders(headers, endStream);
  }

  onData(stream: Http2StreamLike, bytes: Uint8Array, offset: number, length: number): void {
    tunnelOf(stream)?.onData(bytes, offset, length);
  }

  onEnd(stream: Http2StreamLike): void {
    tunnelOf(stream)?.onEnd();
  }

  onWritable(stream: Http2StreamLike): void {
    tunnelOf(stream)?.onWritable();
  }

  onStreamClose(stream: Http2StreamLike, error: AmbitError | null): void {
    tunnelOf(stream)?.onStreamClose(error);
    this.#owner.onSessionChange(this);
  }

  onSettings(): void {
    this.#owner.onSessionChange(this);
  }

  onPong(): void {
    if (!this.#awaitsPong) return;
    this.#awaitsPong = false;
    this.#timer.cancel();
    this.#timer = this.#owner.engine.after(this.#owner.limits.keepaliveIntervalMs, this.#timerDue);
  }

  onGoaway(): void {
    this.retired = true;
    this.#owner.onSessionChange(this);
  }

  onSessionClose(error: AmbitError | null): void {
    if (this.closed) return;
    this.closed = true;
    this.retired = true;
    this.#timer.cancel();
    if (!this.#connectionGone) {
      this.connection.end();
      this.#timer = this.#owner.engine.after(this.#owner.limits.closeGraceMs, this.#timerDue);
    }
    this.#owner.onSessionClose(this, error);
  }

  // Called by the streams.

  defer(stream: HboneStream): void {
    if (this.#deferred === null) {
      this.#deferred = [];
      this.#owner.engine.after(0, () => this.#runDeferred());
    }
    this.#deferred.push(stream);
  }

  countFault(): void {
    this.#owner.countFault();
  }

  #runDeferred(): void {
    const streams = this.#deferred ?? [];
    this.#deferred = null;
    for (const stream of streams) stream.runDeferred();
  }

  #onTimer(): void {
    const { engine, limits } = this.#owner;
    if (this.closed) {
      this.connection.abort(hboneError('HBONE_CONNECTION_LOST', `${this.peerText} did not close the connection`));
    } else if (this.#awaitsPong) {
      this.#owner.countKeepaliveTimeout();
      if (this.#owner.http2Options.role === 'server') this.http2.goaway(Http2ErrorCode.NO_ERROR);
      this.close(
        hboneError('HBONE_KEEPALIVE', `${this.peerText} answered no PING for ${limits.keepaliveTimeoutMs} ms`),
      );
    } else {
      this.#awaitsPong = true;
      this.#timer = engine.after(limits.keepaliveTimeoutMs, this.#timerDue);
      this.http2.ping(PING_OPAQUE);
    }
  }
}

/** Separate from the session because streams and connections have callbacks of the same names. */
class ConnectionReceiver implements Receiver {
  readonly session: HboneSession;

  constructor(session: HboneSession) {
    this.session = session;
  }

  creditBytes(): number {
    return CREDIT_BYTES;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    if (!this.session.closed) this.session.http2.receive(bytes, offset, length);
  }

  onEnd(): void {
    this.session.connectionEnded(null);
  }

  onWritable(): void {
    if (!this.session.closed) this.session.http2.transportWritable();
  }

  onClose(error: AmbitError | null): void {
    this.session.connectionClosed(error);
  }
}

/** Null for a stream that its owner refused before it became a tunnel. */
function tunnelOf(stream: Http2StreamLike): HboneStream | null {
  return stream.context instanceof HboneStream ? stream.context : null;
}
