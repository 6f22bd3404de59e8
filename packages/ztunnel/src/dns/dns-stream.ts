/**
 * A client that asks over TCP (RFC 7766): several queries at once, answered as the answers come. Reading stops while too
 * much is unanswered or the client does not read; without a whole query for a while it is let go.
 */
import type { Connection, Engine, EngineTimer, Receiver } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { QUERY_BYTES_MAX, TCP_ANSWER_BYTES_MAX, TCP_IDLE_MS, TCP_PENDING_MAX } from './limits.ts';
import { FORMERR, HEADER_BYTES } from './message.ts';
import { MessageReader, withLength } from './message-reader.ts';
import { parseQuery, type Query, refuse } from './query.ts';

/** What answers. */
export interface StreamHandler {
  handle(query: Query, protocol: 'tcp', bytesMax: number, reply: (answer: Uint8Array) => void): EngineTimer | null;
}

export class DnsStream implements Receiver {
  readonly #handler: StreamHandler;
  readonly #engine: Engine;
  readonly #connection: Connection;
  readonly #onGone: () => void;
  readonly #reader = new MessageReader(QUERY_BYTES_MAX);
  readonly #pending = new Set<PendingQuery>();
  #hasEnded = false;
  #isGone = false;
  #activeMs: number;
  #idle: EngineTimer;

  constructor(handler: StreamHandler, engine: Engine, connection: Connection, onGone: () => void) {
    this.#handler = handler;
    this.#engine = engine;
    this.#connection = connection;
    this.#onGone = onGone;
    this.#activeMs = engine.nowMs();
    this.#idle = engine.after(TCP_IDLE_MS, this.#onIdle);
    connection.receive(this);
  }

  abort(reason: string): void {
    this.#connection.abort(aborted(reason));
  }

  creditBytes(): number {
    if (this.#pending.size >= TCP_PENDING_MAX || this.#connection.writableBytes() === 0) return 0;
    return this.#reader.wantedBytes;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    const message = this.#reader.take(bytes, offset, length);
    if (message === null) return;
    if (message === 'bad length' || message.length < HEADER_BYTES) {
      this.abort('the client sent no DNS message');
      return;
    }
    this.#activeMs = this.#engine.nowMs();
    const parsed = parseQuery(message, 0, message.length);
    if (parsed.is === 'query') this.#ask(parsed.query);
    else this.#write(parsed.is === 'refused' ? parsed.answer : refuse(message, 0, FORMERR));
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#endIfDone();
  }

  onWritable(): void {
    this.#connection.resume();
  }

  onClose(): void {
    this.#isGone = true;
    this.#idle.cancel();
    for (const pending of this.#pending) pending.timer?.cancel();
    this.#pending.clear();
    this.#onGone();
  }

  #ask(query: Query): void {
    const pending: PendingQuery = { timer: null };
    this.#pending.add(pending);
    pending.timer = this.#handler.handle(query, 'tcp', TCP_ANSWER_BYTES_MAX, (answer) => {
      this.#pending.delete(pending);
      this.#activeMs = this.#engine.nowMs();
      this.#write(answer);
      this.#endIfDone();
      this.#connection.resume();
    });
  }

  #write(answer: Uint8Array): void {
    if (this.#isGone) return;
    const message = withLength(answer);
    this.#connection.write(message, 0, message.length);
  }

  #endIfDone(): void {
    if (this.#hasEnded && this.#pending.size === 0 && !this.#isGone) this.#connection.end();
  }

  /** Half a query does not count, nor does a client that takes its answers slowly. */
  readonly #onIdle = (): void => {
    const leftMs = this.#activeMs + TCP_IDLE_MS - this.#engine.nowMs();
    const isWaiting = leftMs > 0 || this.#pending.size > 0;
    if (isWaiting) this.#idle = this.#engine.after(leftMs > 0 ? leftMs : TCP_IDLE_MS, this.#onIdle);
    else this.abort('the client was silent for too long');
  };
}

interface PendingQuery {
  timer: EngineTimer | null;
}
