/** The receiver of a stream that is finishing (`Duplex.finish`): what comes in is dropped, only the close is told. */
import type { AmbitError } from '@ambit/base/errors';
import type { Receiver } from './engine.ts';

const CREDIT_BYTES = 1024 * 1024;
/**
 * After the end was sent, before a socket closes under a peer that has not ended: to close while it sends resets the
 * connection, and what the kernel has still to send is lost (nginx calls this a lingering close).
 */
export const LINGER_MS = 2000;

export class DroppingReceiver implements Receiver {
  readonly #heir: Receiver | null;

  constructor(heir: Receiver | null) {
    this.#heir = heir;
  }

  creditBytes(): number {
    return CREDIT_BYTES;
  }

  onData(): void {}

  onEnd(): void {}

  onWritable(): void {}

  onClose(error: AmbitError | null): void {
    this.#heir?.onClose(error);
  }
}
