/** Every bound of the reactor, with its unit and why it is what it is. */

/** Bytes one connection may move in a turn before the others get theirs (FFI rule 9): sixteen full TLS records. */
export const READ_BUDGET_BYTES = 16 * 16 * 1024;
/**
 * What a TLS connection reads and hands on at a time. Less than a plain one: opened in place, copied out and written on, the
 * bytes pass through three areas, which should stay in the second-level cache. Half the budget moved 8 streams with a tenth to a fifth
 * less CPU than all of it.
 */
export const TLS_READ_BYTES = READ_BUDGET_BYTES / 2;
/** A read that becomes one DATA frame of exactly that size, so that no record carries its last nine bytes alone. */
export const PLAIN_READ_BYTES = READ_BUDGET_BYTES - 9;
/** Handshake steps in a turn. One costs up to a millisecond of CPU, and all pods of the node wait meanwhile. */
export const HANDSHAKES_PER_TURN = 2;
/** Connections taken from one listener in a turn. */
export const ACCEPTS_PER_TURN = 64;
/** Time spent on our own events before Node's loop runs; also how late a promise made in a callback may continue. */
export const NODE_TURN_MS = 1;
/**
 * Times in a turn that ends are told and what is written thereupon is sent; the rest is the next turn's. Else who dials
 * again at once what fails at once would keep all others waiting.
 */
export const SETTLE_ROUNDS_MAX = 16;
/** Longest sleep, as a safety net only: every reason to wake up is a descriptor or a timer. */
export const WAIT_MAX_MS = 1000;
/** Bytes a connection holds for a peer that does not read, before its writer is told to wait. */
export const WRITE_QUEUE_BYTES = 256 * 1024;
/** Sealed bytes that go out at once instead of at the end of the turn, so that the peer works meanwhile. */
export const FLUSH_EAGER_BYTES = 128 * 1024;
/** One unit of the native memory that holds queued bytes. */
export const BLOCK_BYTES = 64 * 1024;
/** Blocks are mapped this many at a time. */
export const BLOCKS_PER_REGION = 32;
/** All bytes that may wait for peers that do not read; above it no connection is accepted until it is less. */
export const QUEUED_TOTAL_MAX_BYTES = 1024 * 1024 * 1024;
/** Connections of one process; above it accepting pauses. Half of a usual descriptor limit of a million. */
export const CONNECTIONS_MAX = 500_000;
/** How long accepting pauses when the process is out of descriptors or over a budget. */
export const ACCEPT_PAUSE_MS = 50;
/**
 * OpenSSL's read buffer while a connection receives, given back when it is empty: full records of 16,406 bytes,
 * behind three that align them. A read that ends with a record spares the small one that would fetch its rest.
 */
export const TLS_READ_BUFFER_BYTES = (TLS_READ_BYTES / (16 * 1024)) * (5 + 16 * 1024 + 1 + 16) + 3;
/** A write BIO that grew beyond this is taken from a connection that has been quiet for a sweep. */
export const BIO_SMALL_BYTES = 16 * 1024;
/** Grown write BIOs kept for the next connection that sends much. */
export const BIO_POOL_MAX = 16;
/** Period of giving back what quiet connections do not need. */
export const SWEEP_MS = 1000;
/**
 * From the handshake until what it left is freed: 10 of 33 KB, 30 us. Longer than a connection for one request lives,
 * which is freed as a whole anyway; short, so that new connections fill the holes before the heap grows.
 */
export const SETTLE_MS = 50;
/** Peers' certificates kept so that equal ones are one; more peers than this at once cost a copy a connection. */
export const PEER_CERTIFICATES_KEPT = 1024;
/** Connections that must have ended since the last time before free heap pages are returned to the system. */
export const TRIM_AFTER_CLOSES = 64;
/** Defaults of the deadlines that `ListenOptions` and `ConnectOptions` may set. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** As Istio's ztunnel for all dials of the data plane (Appendix A of its constants). */
export const CONNECT_TIMEOUT_MS = 10_000;
export const LISTEN_BACKLOG = 4096;
/** Longest reason taken over from OpenSSL into an error. */
export const TLS_REASON_MAX_CHARS = 300;
/** Datagrams that one socket takes in a turn of the loop: some 2 ms of answering names. */
export const DATAGRAMS_PER_TURN = 64;
/** No UDP datagram is longer, so that none is ever cut off. */
export const RECEIVE_DATAGRAM_BYTES = 65_536;
