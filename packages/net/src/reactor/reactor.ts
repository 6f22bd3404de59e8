/** The engine of production: epoll, sockets and OpenSSL over FFI, on this process's main thread. */
import { performance } from 'node:perf_hooks';
import { libc } from '@ambit/platform/ffi';
import type {
  Connection,
  ConnectOptions,
  ConnectResult,
  Engine,
  EngineCounters,
  EngineTimer,
  Listener,
  ListenOptions,
  TlsContext,
  TlsMaterial,
} from '../engine.ts';
import { engineClosed } from '../errors.ts';
import { BioPool } from './bio-pool.ts';
import { releaseBlocks } from './block-queue.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import { Dial } from './dial.ts';
import { EventLoop } from './event-loop.ts';
import { CONNECTIONS_MAX, QUEUED_TOTAL_MAX_BYTES, SWEEP_MS, TRIM_AFTER_CLOSES } from './limits.ts';
import { ReactorListener } from './listener.ts';
import { PeerCertificates } from './peer-certificates.ts';
import type { Shared } from './shared.ts';
import { ReactorTlsContext } from './tls-context.ts';

const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
/** OpenSSL's read buffers come and go with every burst: from the heap, not each from a mapping of its own. */
const MMAP_THRESHOLD_BYTES = 4 * 1024 * 1024;
const TRIM_THRESHOLD_BYTES = 16 * 1024 * 1024;

export interface ReactorOptions {
  /** A handler threw. It cost its own connection; after some number of these a process is better replaced. */
  readonly onFault?: (thrown: unknown) => void;
  readonly connectionsMax?: number;
  readonly queuedMaxBytes?: number;
}

export class Reactor implements Engine {
  readonly counters: EngineCounters = {
    connections: 0,
    accepted: 0,
    connected: 0,
    handlerFaults: 0,
    handshakesFailed: 0,
    acceptPauses: 0,
    queuedBytes: 0,
  };
  readonly #shared: Shared;
  readonly #loop: EventLoop;
  #closing: Promise<void> | null = null;

  constructor(options: ReactorOptions = {}) {
    libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
    const onFault = guarded(options.onFault ?? (() => {}));
    const connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
    const queuedMaxBytes = options.queuedMaxBytes ?? QUEUED_TOTAL_MAX_BYTES;
    const { counters } = this;
    this.#loop = new EventLoop((thrown) => {
      counters.handlerFaults += 1;
      onFault(thrown);
    });
    this.#shared = {
      loop: this.#loop,
      counters,
      open: new Set(),
      dials: new Set(),
      listeners: new Set(),
      bios: new BioPool(),
      peers: new PeerCertificates(),
      closesSinceTrim: 0,
      onFault,
      overBudget: () => this.#shared.open.size >= connectionsMax || counters.queuedBytes > queuedMaxBytes,
    };
    this.#loop.after(SWEEP_MS, this.#sweep);
  }

  nowMs(): number {
    return performance.now();
  }

  after(delayMs: number, callback: () => void): EngineTimer {
    return this.#loop.after(delayMs, callback);
  }

  tlsContext(material: TlsMaterial): TlsContext {
    return new ReactorTlsContext(material);
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener {
    if (this.#closing !== null) throw engineClosed();
    const listener = new ReactorListener(this.#shared, options, onConnection);
    this.#shared.listeners.add(listener);
    return listener;
  }

  connect(options: ConnectOptions, result: ConnectResult): EngineTimer {
    if (this.#closing !== null) throw engineClosed();
    if (options.tls !== undefined && !(options.tls instanceof ReactorTlsContext)) {
      throw new TypeError('a TLS context belongs to the engine that made it');
    }
    return new Dial(this.#shared, options, options.tls ?? null, result);
  }

  /**
   * Calls back while `fd` is readable or hung up, until cancelled; cancel before closing the descriptor. A callback that
   * throws is counted and not called again.
   */
  watch(fd: number, onReadable: () => void): EngineTimer {
    return new DescriptorWatch(this.#shared, fd, onReadable);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const listener of this.#shared.listeners) listener.close();
    for (const dial of this.#shared.dials) dial.closeByEngine();
    for (const connection of this.#shared.open) connection.abort(engineClosed());
    // The loop tells the receivers in its next turn; two turns of Node's loop let what they start settle.
    for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    this.#shared.bios.close();
    this.#loop.stop();
  }

  /** Gives back what quiet connections, empty queues and ended connections leave behind. */
  readonly #sweep = (): void => {
    this.#shared.bios.sweep();
    releaseBlocks();
    if (this.#shared.closesSinceTrim >= TRIM_AFTER_CLOSES) {
      this.#shared.closesSinceTrim = 0;
      libc.malloc_trim(0);
    }
    this.#loop.after(SWEEP_MS, this.#sweep);
  };
}

/** A reporter that fails must not turn one connection's fault into everybody's. */
function guarded(onFault: (thrown: unknown) => void): (thrown: unknown) => void {
  return (thrown) => {
    try {
      onFault(thrown);
    } catch {
      // There is nobody left to tell.
    }
  };
}
