/** How long to leave a CA alone after failures in a row (ztunnel facts 5.5). */
import type { Rng } from '@ambit/base/rng';
import { RETRY_FIRST_MS, RETRY_MAX_MS, RETRY_SPREAD } from './limits.ts';

/**
 * About 1 s, doubled with each failure, spread by a fifth either way, never more than 150 s. ztunnel stops spreading
 * after 15 minutes; this does not, because nodes that lost their CA together must not come back together.
 */
export function retryDelayMs(failures: number, rng: Rng): number {
  const planned = Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS);
  const spread = 1 - RETRY_SPREAD + 2 * RETRY_SPREAD * rng.next();
  return Math.min(Math.round(planned * spread), RETRY_MAX_MS);
}
