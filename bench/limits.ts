/** Deadlines and addresses of the bench itself; those of the measuring processes are in load/limits.ts. */

/** The target's address: not 127.0.0.1, because a peer may take calls to its own address for recursion. */
export const TARGET_IP = '127.0.0.3';

/** One load against one subject, opening 10,000 HBONE connections at two handshakes each included. */
export const LOAD_TIMEOUT_MS = 300_000;

/** From the last connection of a level to the reading of memory: buffers shrink and pools settle. */
export const SETTLE_MS = 1500;
export const QUICK_SETTLE_MS = 100;

export const ROUNDS_DEFAULT = 5;

/** Descriptors that a process needs besides those of idle connections: libraries, listeners, pooled HBONE. */
export const DESCRIPTORS_SPARE = 300;
