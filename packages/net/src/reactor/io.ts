/**
 * The native memory that all connections of a process share: one thread, synchronous callbacks, so one area to read into
 * serves them all. It is overwritten by the next read, which is why views are valid only during a call.
 */
import { Region } from '@ambit/platform/region';
import { HEADROOM_BYTES } from '../engine.ts';
import { READ_BUDGET_BYTES } from './limits.ts';

const STAGE_BYTES = 64 * 1024;

const received = Region.map(HEADROOM_BYTES + READ_BUDGET_BYTES);
const staged = Region.map(STAGE_BYTES);
const answer = Region.map(64);

export const receivedBytes = received.bytes;
/** Where reads land: behind the room that a receiver may use for a frame header. */
export const receivedAddress = received.at(HEADROOM_BYTES, READ_BUDGET_BYTES);

/** Eight bytes for what a foreign call gives back through a pointer. */
export const answerAddress = answer.at(0, 8);
const answerWords = new Uint32Array(answer.bytes.buffer, 0, 2);

export function answeredAddress(): number {
  return (answerWords[1] as number) * 2 ** 32 + (answerWords[0] as number);
}

/** How many of `length` bytes one foreign call may take from `addressOf`. */
export function addressableBytes(bytes: Uint8Array, length: number): number {
  return bytes === receivedBytes || length < STAGE_BYTES ? length : STAGE_BYTES;
}

/**
 * An address for `length` bytes at `offset`: in place when they lie where reads land, else in a stage to which they are
 * copied. Good until the next call. `length` is at most `addressableBytes`.
 */
export function addressOf(bytes: Uint8Array, offset: number, length: number): number {
  if (bytes === receivedBytes) return received.at(offset, length);
  staged.bytes.set(offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length));
  return staged.address;
}
