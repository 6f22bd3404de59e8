/** Every bound of parent and children, with its unit and why it is what it is. */

export interface WorkerLimits {
  /** Between two pings of one child. */
  readonly pingIntervalMs: number;
  /** Without an answer for this long a child's loop is blocked for good: it is killed and replaced. */
  readonly pingTimeoutMs: number;
  /** From the start of the process to its first word: Node, the modules and a loaded machine need more than a ping. */
  readonly startTimeoutMs: number;
  /** Handlers that threw. Each cost one connection; this many say that something in the process is broken. */
  readonly faultsMax: number;
  /** What a child that is replaced at its own wish, or whose parent died, has for its connections (as ztunnel, 7.5). */
  readonly drainMs: number;
  /** From the drain deadline to SIGKILL: for the last frames and the exit itself. */
  readonly exitGraceMs: number;
}

export const WORKER_LIMITS: WorkerLimits = Object.freeze({
  pingIntervalMs: 1000,
  pingTimeoutMs: 10_000,
  startTimeoutMs: 30_000,
  faultsMax: 100,
  drainMs: 5000,
  exitGraceMs: 500,
});

/** One record on the control channel. Three of them fit a socket's default send buffer; state goes in small messages. */
export const RECORD_MAX_BYTES = 60 * 1024;
/** Records taken from a channel before the rest of the loop has its turn. */
export const RECORDS_PER_TURN = 64;
/** Bytes that wait for a process that does not read its channel: the state of a large mesh, once over. */
export const OUTBOX_MAX_BYTES = 128 * 1024 * 1024;
/** How soon a full channel is tried again: the peer empties it within a turn of its loop. */
export const OUTBOX_RETRY_MS = 2;
/** Listeners that one child is given: five for each of some thousand pods. */
export const LISTENERS_MAX = 16_384;
/** A line on its way to the log, longer ones are cut. */
export const LOG_LINE_MAX_CHARS = 8 * 1024;
/** Lines of a child's log that wait for the channel; about 2 MB. Beyond, they are dropped and counted. */
export const LOG_RING_LINES = 8192;
/** Lines a second that one child's stderr may bring into the log: enough for a stack trace, too few to fill a disk. */
export const STDERR_LINES_PER_S = 200;
/** Deaths within the window that are replaced at once. */
export const DEATHS_MAX = 5;
export const DEATHS_WINDOW_MS = 10_000;
/** Beyond them each replacement waits this much longer, up to the most. */
export const BACKOFF_STEP_MS = 1000;
export const BACKOFF_MAX_MS = 5000;

/**
 * V8's young generation in a data child, in MB. A child makes little that lasts, and every pod of the node waits while it
 * is collected: 4 MB take 2 ms where the default of 16 took 6, and less memory.
 */
export const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=4'];
