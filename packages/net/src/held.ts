/** An accepted connection until there is somewhere to put its bytes: nothing is read of it, and its end is noticed. */
import type { AmbitError } from '@ambit/base/errors';
import { type CopyObserver, type CopyPair, copy } from './copy.ts';
import type { Duplex, Receiver } from './engine.ts';

const NOBODY: CopyObserver = { onDone: () => {} };

export class Held implements Receiver {
  readonly stream: Duplex;
  /** The client gave up first. Not called after `join` or `abort`. */
  onGone = (): void => {};
  #ended = false;

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.receive(this);
  }

  /** Lets the bytes flow. A client that has finished writing already may still read. */
  join(upstream: Duplex, observer: CopyObserver = NOBODY): CopyPair {
    const pair = copy(this.stream, upstream, observer);
    if (this.#ended) upstream.end();
    return pair;
  }

  abort(error: AmbitError): void {
    this.onGone = () => {};
    this.stream.abort(error);
  }

  creditBytes(): number {
    return 0;
  }

  onData(): void {}

  onEnd(): void {
    this.#ended = true;
  }

  onWritable(): void {}

  onClose(): void {
    this.onGone();
  }
}
