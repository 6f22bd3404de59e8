/**
 * Records with descriptors over AF_UNIX SOCK_SEQPACKET (unix(7), cmsg(3)): how the agent hands over namespaces (ZDS) and
 * a parent its listeners to its children. A record that breaks a bound is refused whole: none of its descriptors stays.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { assert } from '@ambit/base/assert';
import { EADDRINUSE, ECONNREFUSED, EMSGSIZE, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { RECORD_BYTES_MAX, RECORD_FDS_MAX } from './limits.ts';
import { Region } from './region.ts';
import { closeDescriptor, SystemCallError } from './socket.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET_FLAGS = 5 | 0o2004000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const PATH_BYTES_MAX = 107;
const SOCKET_MODE = 0o600;

/** struct msghdr, struct iovec, control data, then a record to send; or a struct sockaddr_un. */
const HEADER_BYTES = 56;
const IOVEC_AT = 64;
const CONTROL_AT = 96;
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES_MAX = CMSG_HEADER_BYTES + 4 * (RECORD_FDS_MAX + 1);
const RECORD_AT = 2048;
const scratch = Region.map(RECORD_AT + RECORD_BYTES_MAX);
const { view } = scratch;

export function socketPair(): readonly [number, number] {
  if (libc.socketpair(AF_UNIX, SOCK_SEQPACKET_FLAGS, 0, scratch.at(0, 8)) !== 0) {
    throw new SystemCallError('socketpair', lastErrno(), 'AF_UNIX SOCK_SEQPACKET');
  }
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** `acceptSocket` takes its connections. What a crashed run left at `path` is replaced; a living listener is not. */
export function listenSeqpacket(path: string, backlog = 16): number {
  assertPath(path);
  const fd = makeSocket();
  try {
    bindAfresh(fd, path);
    chmodSync(path, SOCKET_MODE);
    if (libc.listen(fd, backlog) !== 0) throw new SystemCallError('listen', lastErrno(), path);
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

/** Connected at once: the kernel queues it, or answers EAGAIN when the backlog is full. */
export function connectSeqpacket(path: string): number {
  assertPath(path);
  const fd = makeSocket();
  const errno = connectPath(fd, path);
  if (errno === 0) return fd;
  closeDescriptor(fd);
  throw new SystemCallError('connect', errno, path);
}

/** The length sent, or -errno. The other side gets descriptors of its own; ours stay ours to close. */
export function sendRecord(
  fd: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  fds: readonly number[],
): number {
  assert(length > 0, 'a record is not empty, for an empty one reads like the end');
  assert(offset >= 0 && offset + length <= bytes.length, 'a record lies within its bytes');
  assert(fds.length <= RECORD_FDS_MAX, `a record carries at most ${RECORD_FDS_MAX} descriptors`);
  if (length > RECORD_BYTES_MAX) return -EMSGSIZE;
  scratch.bytes.set(bytes.subarray(offset, offset + length), RECORD_AT);
  const controlBytes = fds.length === 0 ? 0 : CMSG_HEADER_BYTES + 4 * fds.length;
  writeHeader(scratch.at(RECORD_AT, length), length, controlBytes);
  if (fds.length > 0) {
    view.setBigUint64(CONTROL_AT, BigInt(controlBytes), true);
    view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
    view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
    fds.forEach((each, i) => {
      view.setInt32(CONTROL_AT + CMSG_HEADER_BYTES + 4 * i, each, true);
    });
  }
  const sent = libc.sendmsg(fd, scratch.at(0, HEADER_BYTES), MSG_NOSIGNAL);
  return sent < 0 ? -lastErrno() : sent;
}

export interface ReceivedRecord {
  /** Bytes now in the region; 0 at the end. */
  readonly length: number;
  /** Close-on-exec, and the caller's to close. */
  readonly fds: readonly number[];
  /** The record broke a bound: it is incomplete, and all descriptors that came with it are closed already. */
  readonly violation: 'longer than the room for it' | 'too many descriptors' | null;
}

/** One record into `region`, or -errno (EAGAIN: there is none). `fdsMax` 0 is for who expects no descriptor. */
export function receiveRecord(
  fd: number,
  region: Region,
  offset: number,
  lengthMax: number,
  fdsMax: number,
): ReceivedRecord | number {
  assert(fdsMax >= 0 && fdsMax <= RECORD_FDS_MAX, `a record carries at most ${RECORD_FDS_MAX} descriptors`);
  // Room for one more than allowed, so that a record with too many is seen as such.
  writeHeader(region.at(offset, lengthMax), lengthMax, CMSG_HEADER_BYTES + 4 * (fdsMax + 1));
  const length = libc.recvmsg(fd, scratch.at(0, HEADER_BYTES), MSG_CMSG_CLOEXEC);
  if (length < 0) return -lastErrno();
  const flags = view.getInt32(48, true);
  const fds = receivedDescriptors(Number(view.getBigUint64(40, true)));
  const tooLong = (flags & MSG_TRUNC) !== 0;
  const tooMany = (flags & MSG_CTRUNC) !== 0 || fds.length > fdsMax;
  if (!tooLong && !tooMany) return { length, fds, violation: null };
  fds.forEach(closeDescriptor);
  return { length, fds: [], violation: tooMany ? 'too many descriptors' : 'longer than the room for it' };
}

/** The kernel wrote `controlBytes`; every message in it is walked, for a peer may send several of a kind. */
function receivedDescriptors(controlBytes: number): number[] {
  const fds: number[] = [];
  const end = CONTROL_AT + Math.min(controlBytes, CONTROL_BYTES_MAX);
  for (let at = CONTROL_AT; at + CMSG_HEADER_BYTES <= end; ) {
    const messageBytes = Number(view.getBigUint64(at, true));
    if (messageBytes < CMSG_HEADER_BYTES) break;
    if (view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS) {
      const messageEnd = Math.min(at + messageBytes, end);
      for (let i = at + CMSG_HEADER_BYTES; i + 4 <= messageEnd; i += 4) fds.push(view.getInt32(i, true));
    }
    at += (messageBytes + 7) & ~7;
  }
  return fds;
}

function writeHeader(recordAddress: number, length: number, controlBytes: number): void {
  scratch.bytes.fill(0, 0, CONTROL_AT);
  view.setBigUint64(16, BigInt(scratch.at(IOVEC_AT, 16)), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, BigInt(controlBytes === 0 ? 0 : scratch.at(CONTROL_AT, controlBytes)), true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setBigUint64(IOVEC_AT, BigInt(recordAddress), true);
  view.setBigUint64(IOVEC_AT + 8, BigInt(length), true);
}

function makeSocket(): number {
  const fd = libc.socket(AF_UNIX, SOCK_SEQPACKET_FLAGS, 0);
  if (fd < 0) throw new SystemCallError('socket', lastErrno(), 'AF_UNIX SOCK_SEQPACKET');
  return fd;
}

function bindAfresh(fd: number, path: string): void {
  let errno = bindPath(fd, path);
  if (errno === EADDRINUSE && isDeadSocket(path)) {
    unlinkSync(path);
    errno = bindPath(fd, path);
  }
  if (errno !== 0) throw new SystemCallError('bind', errno, path);
}

function bindPath(fd: number, path: string): number {
  const length = writePath(path);
  return libc.bind(fd, scratch.at(0, length), length) === 0 ? 0 : lastErrno();
}

function connectPath(fd: number, path: string): number {
  const length = writePath(path);
  return libc.connect(fd, scratch.at(0, length), length) === 0 ? 0 : lastErrno();
}

/** Connecting to an ordinary file is refused as well, and that is not ours to remove. */
function isDeadSocket(path: string): boolean {
  if (!lstatSync(path).isSocket()) return false;
  const fd = makeSocket();
  const errno = connectPath(fd, path);
  closeDescriptor(fd);
  return errno === ECONNREFUSED;
}

/** Before a descriptor is made that a failed assertion would leave open. */
function assertPath(path: string): void {
  const length = Buffer.byteLength(path);
  assert(length > 0 && length <= PATH_BYTES_MAX, `a socket path has 1 to ${PATH_BYTES_MAX} bytes: ${path}`);
  assert(!path.includes('\0'), 'a socket path has no NUL');
}

function writePath(path: string): number {
  const bytes = Buffer.from(path);
  view.setUint16(0, AF_UNIX, true);
  scratch.bytes.set(bytes, 2);
  scratch.bytes[2 + bytes.length] = 0;
  return 3 + bytes.length;
}
