/** The `traceparent` header (W3C Trace Context level 1, section 3.2): a random one for each connection, as Istio's ztunnel. */
import { assert } from '@ambit/base/assert';

export interface Traceparent {
  /** 32 and 16 lower-case hex digits, not all zero. */
  readonly traceId: string;
  readonly parentId: string;
  readonly flags: number;
}

/** What `makeTraceparent` takes: 16 bytes of trace id, 8 of span id. */
export const TRACEPARENT_RANDOM_BYTES = 24;

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;
const TRACEPARENT_BYTES = 55;

/** `random` is the caller's; not sampled, because no proxy of ours reports the span. */
export function makeTraceparent(random: Uint8Array): string {
  assert(random.length === TRACEPARENT_RANDOM_BYTES, 'a traceparent is made of 24 random bytes');
  return `00-${hexId(random, 0, 16)}-${hexId(random, 16, 24)}-00`;
}

/** Exactly 55 characters, of any version but ff; null otherwise. */
export function parseTraceparent(text: string): Traceparent | null {
  if (text.length !== TRACEPARENT_BYTES) return null;
  const match = TRACEPARENT.exec(text);
  if (match === null) return null;
  return { traceId: match[1]!, parentId: match[2]!, flags: Number.parseInt(match[3]!, 16) };
}

/** All zeros mean "no id", so that the one draw in 2^64 which gives them is moved on. */
function hexId(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  let seen = 0;
  for (let i = start; i < end; i += 1) {
    seen |= bytes[i]!;
    text += HEX[bytes[i]!];
  }
  return seen === 0 ? `${text.slice(0, -1)}1` : text;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
