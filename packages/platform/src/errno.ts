/** errno, read at once after a failed call through a view on the thread's own cell. */
import { constants } from 'node:os';
import { libc, viewNative } from './ffi.ts';

const cell = new Int32Array(viewNative(libc.__errno_location(), 4).buffer);

export const EPERM = 1;
export const EINTR = 4;
export const EAGAIN = 11;
export const EEXIST = 17;
export const ENFILE = 23;
export const EMFILE = 24;
export const EPIPE = 32;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const EPROTO = 71;
export const ENOBUFS = 105;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EINPROGRESS = 115;

/** errno of the foreign call just made on this thread. Any other call in between may change it. */
export function lastErrno(): number {
  return cell[0] as number;
}

const NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** `ECONNREFUSED` for 111; `errno 9999` for what this system has no name for. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}
