/**
 * Test bytes that cost almost nothing to check. Sender and receiver compute the same periodic noise; the receiver
 * compares samples, and whoever ends a stream compares its length.
 */
import { Region } from '@ambit/platform/region';
import { CHUNK_BYTES, PATTERN_PERIOD_BYTES, SAMPLE_EVERY_BYTES } from './limits.ts';

/** The pattern from any phase on for a whole chunk: the period, and one more chunk of its beginning. */
export function mapPattern(): Region {
  const region = Region.map(PATTERN_PERIOD_BYTES + CHUNK_BYTES);
  let state = 0x9e3779b9;
  for (let i = 0; i < PATTERN_PERIOD_BYTES; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    region.bytes[i] = state >>> 24;
  }
  region.bytes.copyWithin(PATTERN_PERIOD_BYTES, 0, CHUNK_BYTES);
  return region;
}

/** Where in the pattern byte `position` of a stream lies. */
export function phaseOf(position: number): number {
  return position % PATTERN_PERIOD_BYTES;
}

/** Samples of `length` received bytes, the last always among them, against the pattern from `phase` on. */
export function matchesPattern(bytes: Uint8Array, length: number, pattern: Uint8Array, phase: number): boolean {
  for (let i = 0; i < length; i += SAMPLE_EVERY_BYTES) if (bytes[i] !== pattern[phase + i]) return false;
  return length === 0 || bytes[length - 1] === pattern[phase + length - 1];
}
