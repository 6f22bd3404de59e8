/**
 * What of libuv's loop another loop must know to carry it along (uv_backend_fd, "embedding"): the descriptor that tells
 * of events, and how long it may sleep. Tried with Node 26: promises, timers, DNS, servers, signals keep working.
 */
import { libuv } from './ffi.ts';

const loop = libuv.uv_default_loop();

/** Readable when libuv has something to do. */
export function nodeLoopDescriptor(): number {
  return libuv.uv_backend_fd(loop);
}

/**
 * Milliseconds that libuv may sleep; 0 when it must run now (a due timer, an immediate, a watcher not yet armed); -1
 * when only a descriptor can wake it. libuv's clock stands still while it does not run, hence the update.
 */
export function nodeLoopTimeoutMs(): number {
  libuv.uv_update_time(loop);
  return libuv.uv_backend_timeout(loop);
}
