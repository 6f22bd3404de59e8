/**
 * Joins two streams: what one delivers the other is given, with half-close both ways (as ztunnel 3.8: each direction ends
 * by itself, and the pair is done when both streams are gone). There is no buffer here: a stream is read only as far as
 * the other can take, and the bytes are passed on as the view in which they came.
 *
 * Unlike Istio's ztunnel, which ends the other side cleanly after a reset, a failure is passed on as a failure: a reader
 * must not take a truncated message for a whole one. After its end a stream's failure (an application that answered and
 * closed, and then resets what it is still sent) cuts nothing short: the other side gets all of it before it goes too.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { Duplex, Receiver } from './engine.ts';

export interface CopyResult {
  /** From the client to the upstream: `received` in Istio's telemetry (8.2). */
  readonly receivedBytes: number;
  /** From the upstream to the client. */
  readonly sentBytes: number;
  /** The first failure of either stream. */
  readonly error: AmbitError | null;
}

export interface CopyObserver {
  /** Once, when both streams are gone. */
  onDone(result: CopyResult): void;
}

/**
 * Takes over both streams, which must be open. What an earlier receiver saw of one is its to pass on: bytes before this
 * call, an end after it by `end()` of the other.
 */
export function copy(client: Duplex, upstream: Duplex, observer: CopyObserver): CopyPair {
  return new CopyPair(client, upstream, observer);
}

/** A running copy: its counts can be read, and it can be given up, at any time. */
export class CopyPair implements CopyResult {
  error: AmbitError | null = null;
  readonly #client: Direction;
  readonly #upstream: Direction;
  readonly #observer: CopyObserver;
  #open = 2;

  constructor(client: Duplex, upstream: Duplex, observer: CopyObserver) {
    this.#observer = observer;
    this.#client = new Direction(this, client, upstream);
    this.#upstream = new Direction(this, upstream, client);
    client.receive(this.#client);
    upstream.receive(this.#upstream);
    // Either may have been held back until there was somewhere to put its bytes.
    client.resume();
    upstream.resume();
  }

  get receivedBytes(): number {
    return this.#client.bytes;
  }

  get sentBytes(): number {
    return this.#upstream.bytes;
  }

  /** Drops both streams: a policy changed, or the drain deadline passed. */
  abort(error: AmbitError): void {
    this.#client.from.abort(error);
    this.#upstream.from.abort(error);
  }

  /** For `Direction` alone. */
  streamClosed(error: AmbitError | null): void {
    this.error ??= error;
    this.#open -= 1;
    if (this.#open === 0) this.#observer.onDone(this);
  }
}

/** Receives from one stream and writes to the other. */
class Direction implements Receiver {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly pair: CopyPair;
  bytes = 0;
  ended = false;

  constructor(pair: CopyPair, from: Duplex, to: Duplex) {
    this.pair = pair;
    this.from = from;
    this.to = to;
  }

  creditBytes(): number {
    return this.to.writableBytes();
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.bytes += length;
    this.to.write(bytes, offset, length);
  }

  onEnd(): void {
    this.ended = true;
    this.to.end();
  }

  /** There is room in `from` again, so that the other stream may be read. */
  onWritable(): void {
    this.to.resume();
  }

  /** Cleanly means that `onEnd` came before: the other side was told then. */
  onClose(error: AmbitError | null): void {
    if (error !== null) {
      if (this.ended) this.to.finish(error);
      else this.to.abort(error);
    }
    this.pair.streamClosed(error);
  }
}
