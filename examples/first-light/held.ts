/** An accepted connection until there is somewhere to put its bytes: nothing is read of it, and its end is noticed. */
import type { AmbitError } from '@ambit/base/errors';
import { copy } from '@ambit/net/copy';
import type { Duplex, Receiver } from '@ambit/net/engine';

export class Held implements Receiver {
  readonly stream: Duplex;
  /** The client gave up first. */
  onGone = (): void => {};
  #ended = false;

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.receive(this);
  }

  join(upstream: Duplex, onDone = (): void => {}): void {
    copy(this.stream, upstream, { onDone });
    if (this.#ended) upstream.end();
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
