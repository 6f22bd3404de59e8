/** Sizes and deadlines of the measuring side: part of what a figure means, so a change makes old baselines void. */

/** One read or write of a bulk stream. Above 256 KiB the kernel's socket buffers are the limit, not the calls. */
export const CHUNK_BYTES = 256 * 1024;

/** Period of the test pattern: a prime above `CHUNK_BYTES`, so that no power-of-two loss or swap falls on its period. */
export const PATTERN_PERIOD_BYTES = 262_147;

/** Distance of the bytes compared in bulk: a lost or doubled byte shifts all that follow, so samples find it. */
export const SAMPLE_EVERY_BYTES = 4096;

/** Request and reply of `rr` and `crr`. */
export const MESSAGE_BYTES = 1024;

/** Longest wait for any event at all before a load counts as stuck. */
export const STALL_TIMEOUT_MS = 20_000;

/** Descriptors of a process that holds 10,000 idle connections with both ends of each, and some. */
export const OPEN_FILES = 65_536;

/** Connections being opened at a time in an idle load: more would run into the deadlines of a proxy that dials one at a time. */
export const OPENING_AT_ONCE = 16;

/** Latencies kept per run; 20 s at 100,000 a second. */
export const LATENCIES_MAX = 2_000_000;

/** Events taken from the kernel in one turn. */
export const EVENTS_PER_TURN = 256;
