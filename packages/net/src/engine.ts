/**
 * What carries bytes, behind one interface: the reactor (epoll over FFI) and the seeded memory engine implement it, and
 * everything above is written against it alone.
 *
 * Rules that hold for every implementation:
 * - Synchronous callbacks over views. `bytes`, `offset`, `length` are valid only during the call; who needs them later
 *   copies. The `HEADROOM_BYTES` before `offset` are the receiver's to overwrite meanwhile (a frame header goes there).
 * - Explicit credit. Before it reads, an engine asks the receiver for `creditBytes()` and delivers at most that much;
 *   0 pauses the reading until `resume()`.
 * - Writing never fails and never waits: all bytes are taken, what the kernel does not take is queued. A writer stays
 *   within `writableBytes()`; when that was too little, `onWritable()` says that there is room again.
 * - `onClose` comes exactly once, last, and never from inside a call that the receiver itself makes on the stream.
 *   Everything else may come at any time before it, but not before the stream was handed over.
 * - A receiver that throws loses its own stream and nothing else.
 */
import type { AmbitError } from '@ambit/base/errors';

/** Bytes before `offset` that belong to the receiver during `onData`. */
export const HEADROOM_BYTES = 16;

export interface Receiver {
  /** Bytes taken now. Asked before each read; 0 pauses the sender until `resume()`. */
  creditBytes(): number;
  /** May be larger than the credit where the sender had been promised more before (an HTTP/2 window). */
  onData(bytes: Uint8Array, offset: number, length: number): void;
  /** The other side has finished writing; it may still read. */
  onEnd(): void;
  /** `writableBytes()` was short and is not any longer. */
  onWritable(): void;
  /** The stream is gone: cleanly (both directions ended) with null, else with the reason. */
  onClose(error: AmbitError | null): void;
}

/** A two-way byte stream: a socket, a TLS session, an HTTP/2 stream. */
export interface Duplex {
  /** Set once, by whom the stream was handed to, before returning to the engine. Later calls replace the receiver. */
  receive(receiver: Receiver): void;
  /** May overwrite the `HEADROOM_BYTES` before `offset`, where there are so many: a frame header goes there. */
  write(bytes: Uint8Array, offset: number, length: number): void;
  writableBytes(): number;
  /** No more bytes from this side; what is queued still goes out. Idempotent. */
  end(): void;
  /** Credit may have grown: read on. Cheap when nothing was paused. */
  resume(): void;
  /**
   * No more in either direction, as close(2): what was written still goes out, with its end, and what comes in meanwhile
   * is dropped. Of the receiver only `onClose(error)` is called after this. Idempotent; `abort` ends the waiting.
   */
  finish(error: AmbitError): void;
  /** Gone at once, with a reset where the protocol has one. Idempotent; `onClose(error)` follows. */
  abort(error: AmbitError): void;
}

export interface SocketAddress {
  /** Canonical text; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly ip: string;
  readonly port: number;
}

/** What the handshake established. Nothing is delivered on a connection before its verification succeeded. */
export interface TlsPeer {
  /** The leaf certificate that the peer proved, in DER; null where none was asked for or given. */
  readonly leafDer: Uint8Array | null;
  readonly alpn: string;
}

export interface Connection extends Duplex {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Where the client meant to go, before redirection; equals `local` on a connection that was not redirected. */
  readonly originalDestination: SocketAddress;
  readonly tls: TlsPeer | null;
}

/** Certificates as PEM. A context is never changed after use: rotation makes a new one (design, FFI rule 3). */
export interface TlsMaterial {
  /** Leaf first, then intermediates. Undefined: a client that shows no certificate. */
  readonly certificateChainPem?: string;
  readonly privateKeyPem?: string;
  /** Peers must chain to one of these, with the matching extended key usage. Undefined: the peer is not verified. */
  readonly rootsPem?: string;
  /** Offered, and demanded from the peer. */
  readonly alpn: string;
}

/** An engine's own form of `TlsMaterial`; opaque to callers. */
export interface TlsContext {
  readonly material: TlsMaterial;
  /** Frees native parts when the last connection that uses the context has gone. */
  release(): void;
}

export interface ListenOptions {
  readonly ip: string;
  /** 0 takes a free one; `Listener.address` tells which. */
  readonly port: number;
  /** An already listening descriptor, owned by the caller until the listener is closed, instead of ip and port. */
  readonly fd?: number;
  readonly tls?: TlsContext;
  /** Deadline from accept to the end of the handshake. */
  readonly handshakeTimeoutMs?: number;
}

export interface ConnectOptions {
  readonly ip: string;
  readonly port: number;
  readonly tls?: TlsContext;
  /** Covers TCP and TLS together. */
  readonly timeoutMs?: number;
  /** Bind here first. `transparent` lets it be an address that is not this host's (as Istio's ztunnel, 4.7). */
  readonly sourceIp?: string;
  readonly transparent?: boolean;
  /** SO_MARK of the socket. */
  readonly mark?: number;
  /** Descriptor of the network namespace in which the socket is made. */
  readonly namespaceFd?: number;
}

export interface ConnectResult {
  onOpen(connection: Connection): void;
  /** Nothing was sent to the other side's application. */
  onFail(error: AmbitError): void;
}

export interface Listener {
  readonly address: SocketAddress;
  /** New handshakes use `tls` from now on; running connections keep what they have. */
  useTls(tls: TlsContext): void;
  /** Connections already accepted live on. */
  close(): void;
}

export interface EngineTimer {
  cancel(): void;
}

export interface EngineCounters {
  /** Open connections, TLS or not. */
  connections: number;
  accepted: number;
  connected: number;
  /** Handlers that threw; each cost its own connection. */
  handlerFaults: number;
  handshakesFailed: number;
  /** Times accepting paused because the process or the system had no descriptors left. */
  acceptPauses: number;
  /** Bytes queued for peers that do not read. */
  queuedBytes: number;
}

export interface Engine {
  readonly counters: Readonly<EngineCounters>;
  nowMs(): number;
  after(delayMs: number, callback: () => void): EngineTimer;
  /** Throws `TLS_MATERIAL` when the certificates, the key or the roots cannot be used together. */
  tlsContext(material: TlsMaterial): TlsContext;
  /** Throws `LISTEN_FAILED` with the address and the reason, `ENGINE_CLOSED` after `close`. */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Listener;
  /** Never calls back before it returned; throws `ENGINE_CLOSED` after `close`. The timer's `cancel` gives up without a call. */
  connect(options: ConnectOptions, result: ConnectResult): EngineTimer;
  /** Closes listeners and aborts connections; resolves when nothing of it is left. */
  close(): Promise<void>;
}
