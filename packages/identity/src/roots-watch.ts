/**
 * Says when a root file may have changed. Its directory is watched and not the file, because Kubernetes swaps a link
 * beside it (ztunnel facts 1.6) and the file that was watched is then another one.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Log } from '@ambit/base/log';
import { ROOTS_DEBOUNCE_MS } from './limits.ts';
import type { RootSource } from './roots.ts';
import type { After, Cancellable } from './timers.ts';

export interface RootsWatchDeps {
  readonly after: After;
  readonly log: Log;
}

export class RootsWatch {
  readonly #deps: RootsWatchDeps;
  readonly #directory: string | null;
  readonly #onChange: () => void;
  #watcher: FSWatcher | null = null;
  #timer: Cancellable | null = null;
  #closed = false;

  /** Roots that are no file never change. */
  constructor(source: RootSource, deps: RootsWatchDeps, onChange: () => void) {
    this.#directory = source.is === 'file' ? dirname(source.path) : null;
    this.#deps = deps;
    this.#onChange = onChange;
    this.#watch();
  }

  close(): void {
    this.#closed = true;
    this.#watcher?.close();
    this.#timer?.cancel();
  }

  #watch(): void {
    if (this.#directory === null) return;
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, () => this.#changed());
      this.#watcher.on('error', (error) => this.#lost(error));
    } catch (thrown) {
      this.#lost(thrown as Error);
    }
  }

  /** The first event starts the wait and later ones do not prolong it, so that a busy directory cannot put it off. */
  #changed(): void {
    if (this.#closed || this.#timer !== null) return;
    this.#timer = this.#deps.after(ROOTS_DEBOUNCE_MS, () => {
      this.#timer = null;
      if (this.#watcher === null) this.#watch();
      this.#onChange();
    });
  }

  /** The directory went away or cannot be watched: look again until it can, and read the roots meanwhile. */
  #lost(error: Error): void {
    this.#deps.log.warn('root certificates are not watched', { directory: this.#directory, error });
    this.#watcher?.close();
    this.#watcher = null;
    this.#changed();
  }
}
