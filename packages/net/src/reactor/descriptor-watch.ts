/** Any other descriptor on the loop: a control channel, a capture. Level triggered; the descriptor stays the caller's. */
import { EPOLLIN } from '@ambit/platform/epoll';
import type { EngineTimer } from '../engine.ts';
import { Source, UNWATCHED } from './event-loop.ts';
import type { Shared } from './shared.ts';

export class DescriptorWatch extends Source implements EngineTimer {
  readonly #shared: Shared;
  readonly #onReadable: () => void;

  constructor(shared: Shared, fd: number, onReadable: () => void) {
    super();
    this.#shared = shared;
    this.#onReadable = onReadable;
    shared.loop.register(this, fd);
    shared.loop.interest(this, EPOLLIN);
  }

  cancel(): void {
    if (this.slot >= 0) this.#shared.loop.interest(this, UNWATCHED); // the descriptor may live on
    this.#shared.loop.unregister(this);
  }

  onEvents(_events: number): void {
    this.#onReadable();
  }

  onReady(): void {}

  onHandshake(): void {}

  onFlush(): void {}

  onDeferred(): void {}

  onFault(thrown: unknown): void {
    this.#shared.counters.handlerFaults += 1;
    this.#shared.onFault(thrown);
    this.cancel();
  }
}
