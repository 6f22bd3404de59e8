/** Waiting for the kernel in tests, by asking again: under load nothing is there at once. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { EAGAIN } from './errno.ts';
import { acceptSocket } from './socket.ts';

const PATIENCE_MS = 10_000;

/** The first result that is not null. */
export async function eventually<T>(ask: () => T | null): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ; ) {
    const answer = ask();
    if (answer !== null) return answer;
    assert.ok(Date.now() < end, `nothing within ${PATIENCE_MS} ms`);
    await sleep(1);
  }
}

/** The next connection of a listener. */
export function accepted(listener: number): Promise<number> {
  return eventually(() => {
    const fd = acceptSocket(listener);
    assert.ok(fd >= 0 || fd === -EAGAIN, `accept gave ${fd}`);
    return fd >= 0 ? fd : null;
  });
}
