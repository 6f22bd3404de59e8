/** When to connect again after a stream has ended (ztunnel facts 1.5). */
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, STREAM_LIVED_MIN_MS } from './limits.ts';

/** `fault`: this side could not go on, whatever the other one did. */
export type StreamEnd =
  | { readonly is: 'connectFailed'; readonly error: Error }
  | { readonly is: 'status'; readonly code: number; readonly details: string; readonly error: Error }
  | { readonly is: 'ended' }
  | { readonly is: 'fault'; readonly error: Error };

export interface Backoff {
  readonly delayMs: number;
  /** To be handed in next time. */
  readonly backoffMs: number;
}

// Numbers of gRPC.
const CANCELLED = 1;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;

/**
 * As ztunnel for a stream that had lived: at once after a clean end, 10 ms after what a restart of the server looks like,
 * and doubling otherwise. One that ended within a second doubles in any case, so that no server can make this a busy
 * loop; and one that lived longer forgets the failures before it, where ztunnel keeps them for days.
 */
export function nextBackoff(backoffMs: number, end: StreamEnd, livedMs: number): Backoff {
  const hasLived = livedMs >= STREAM_LIVED_MIN_MS;
  if (end.is === 'ended' && hasLived) return { delayMs: 0, backoffMs: BACKOFF_FIRST_MS };
  if (end.is === 'status' && hasLived && isRestart(end.code, end.details)) {
    return { delayMs: BACKOFF_FIRST_MS, backoffMs: BACKOFF_FIRST_MS };
  }
  const beforeMs = end.is !== 'connectFailed' && hasLived ? BACKOFF_FIRST_MS : backoffMs;
  const nextMs = Math.min(BACKOFF_MAX_MS, beforeMs * 2);
  return { delayMs: nextMs, backoffMs: nextMs };
}

function isRestart(code: number, details: string): boolean {
  if (code === UNAVAILABLE)
    return details.includes('transport is closing') || details.includes('received prior goaway');
  return code === UNKNOWN || code === CANCELLED || code === DEADLINE_EXCEEDED;
}
