/**
 * One request for a tunnel on its way through the pool: it waits for a connection, asks on it, and hands the stream over
 * when the answer is 200. A request that the peer says it never looked at goes to the next connection.
 */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Identity } from '@ambit/model/identity';
import { type HboneRequest, hboneRequestHeaders } from '@ambit/wire/hbone';
import { type HeaderList, Http2ErrorCode } from '@ambit/wire/http2';
import type { ConnectOptions, Duplex, EngineTimer, TlsContext } from '../engine.ts';
import { HboneStatusError, hboneError } from './errors.ts';
import type { HboneSession } from './session.ts';
import { HboneStream, type StreamOpening } from './stream.ts';

/** The first five parts are the pool key: tunnels share a connection only where all of them are equal. */
export interface TunnelRequest {
  readonly sourceIdentity: string;
  /** Whom to accept as the server, in order of preference; with none, nobody is. */
  readonly destinationIdentities: readonly string[];
  readonly destinationIp: string;
  readonly destinationPort: number;
  readonly sourceIp: string;
  /** Used if it comes to a dial. */
  readonly tls: TlsContext;
  readonly dial?: TunnelDialOptions;
  readonly connect: HboneRequest;
}

export type TunnelDialOptions = Pick<ConnectOptions, 'sourceIp' | 'transparent' | 'mark' | 'namespaceFd'>;

export interface TunnelResponse {
  readonly headers: HeaderList;
  /** The identity of the list that the server showed. */
  readonly peerIdentity: Identity;
}

/** Exactly one of the two, once, and never before `openTunnel` returned. */
export interface TunnelResult {
  onOpen(stream: Duplex, response: TunnelResponse): void;
  onFail(error: AmbitError): void;
}

/** What a tunnel needs of its destination's part of the pool. */
export interface TunnelQueue {
  readonly lastDialError: AmbitError | null;
  /** Looks for a connection again. */
  enqueue(tunnel: Tunnel): void;
  /** Waits no longer. */
  forget(tunnel: Tunnel): void;
  after(delayMs: number, callback: () => void): EngineTimer;
  countOpened(): void;
  countFailed(): void;
  countFault(): void;
}

export interface TunnelTimeouts {
  readonly waitTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly tunnelAttemptsMax: number;
}

export class Tunnel implements StreamOpening {
  readonly request: TunnelRequest;
  readonly #result: TunnelResult;
  readonly #queue: TunnelQueue;
  readonly #timeouts: TunnelTimeouts;
  readonly #timerDue = (): void => this.#onTimeout();
  #timer: EngineTimer | null = null;
  #session: HboneSession | null = null;
  #stream: HboneStream | null = null;
  /** Another stream was opened on the session before. */
  #shared = false;
  #attempts = 0;
  #done = false;

  constructor(request: TunnelRequest, result: TunnelResult, queue: TunnelQueue, timeouts: TunnelTimeouts) {
    this.request = request;
    this.#result = result;
    this.#queue = queue;
    this.#timeouts = timeouts;
  }

  /** From now on it has `waitTimeoutMs` to be asked. */
  wait(): void {
    this.#setTimer(this.#timeouts.waitTimeoutMs);
  }

  /** Sends CONNECT. False when the session takes no stream. */
  ask(session: HboneSession): boolean {
    this.#attempts++;
    const http2 = session.http2.openStream(hboneRequestHeaders(this.request.connect), false);
    if (http2 === null) return false;
    this.#session = session;
    this.#shared = http2.id > 1;
    this.#stream = new HboneStream(http2, session, this);
    this.#setTimer(this.#timeouts.responseTimeoutMs);
    return true;
  }

  get mayRetry(): boolean {
    return this.#attempts < this.#timeouts.tunnelAttemptsMax;
  }

  onHeaders(headers: HeaderList, endStream: boolean): void {
    const stream = this.#stream;
    const session = this.#session;
    if (stream === null || session === null || !this.#finish()) return;
    const status = statusOf(headers);
    if (status !== 200) {
      // After a whole response ending our side is the end of the stream, and no reset that the peer would count.
      if (endStream) stream.end();
      else stream.drop(Http2ErrorCode.CANCEL);
      this.#tellFail(new HboneStatusError(status));
      return;
    }
    stream.opened();
    this.#queue.countOpened();
    try {
      this.#result.onOpen(stream, { headers, peerIdentity: session.peer });
    } catch (thrown) {
      this.#queue.countFault();
      stream.abort(asAmbitError(thrown));
    }
  }

  /** No answer came. None of the application's bytes were sent. */
  onGone(error: AmbitError | null): void {
    if (this.#done) return;
    // A shared connection may have been lost before the request was sent; a new one for it tells more than a failure.
    const lost = this.#session?.lost === true && this.#shared;
    this.#session = null;
    this.#stream = null;
    const reason = error ?? hboneError('HBONE_CONNECTION_LOST', 'the peer ended the stream without an answer');
    if ((lost || reason.retry === 'safe') && this.mayRetry) this.#queue.enqueue(this);
    else this.fail(reason);
  }

  fail(error: AmbitError): void {
    if (this.#finish()) this.#tellFail(error);
  }

  /** Gives up without a call. */
  cancel(): void {
    const stream = this.#stream;
    if (this.#finish()) stream?.drop(Http2ErrorCode.CANCEL);
  }

  /** True once. */
  #finish(): boolean {
    if (this.#done) return false;
    this.#done = true;
    this.#timer?.cancel();
    this.#queue.forget(this);
    this.#session = null;
    this.#stream = null;
    return true;
  }

  #tellFail(error: AmbitError): void {
    this.#queue.countFailed();
    try {
      this.#result.onFail(error);
    } catch {
      this.#queue.countFault();
    }
  }

  #setTimer(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#queue.after(delayMs, this.#timerDue);
  }

  #onTimeout(): void {
    const session = this.#session;
    if (session === null) {
      const message = `no connection within ${this.#timeouts.waitTimeoutMs} ms`;
      this.fail(this.#queue.lastDialError ?? hboneError('HBONE_WAIT_TIMEOUT', message));
      return;
    }
    const stream = this.#stream;
    const message = `${session.peerText} did not answer CONNECT within ${this.#timeouts.responseTimeoutMs} ms`;
    this.fail(hboneError('HBONE_RESPONSE_TIMEOUT', message));
    stream?.drop(Http2ErrorCode.CANCEL);
  }
}

function statusOf(headers: HeaderList): number {
  return headers[0] === ':status' ? Number(headers[1]) : 0;
}
