/**
 * Verbs over socket descriptors (socket(7), tcp(7), ip(7), ipv6(7)). Every descriptor made here is CLOEXEC and
 * non-blocking. Calls that set something up throw `SystemCallError`; calls that fail in ordinary traffic return errno.
 */
import { assert } from '@ambit/base/assert';
import { formatIpPort } from '@ambit/wire/ip';
import {
  AF_INET,
  AF_INET6,
  type IpFamily,
  readSockaddr,
  SOCKADDR_IN6_BYTES,
  type SocketAddress,
  writeSockaddr,
} from './address.ts';
import { EINPROGRESS, EINTR, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { withinNamespace } from './namespace.ts';
import { Region } from './region.ts';
import { setMark } from './socket-options.ts';
import { SystemCallError } from './system-call-error.ts';

export * from './socket-options.ts';
export { SystemCallError } from './system-call-error.ts';

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
/** SOCK_, EFD_ and O_ flags have the same values. */
const NONBLOCK_CLOEXEC = 0o2004000;
const EBADF = 9;
const SHUT_WR = 1;

/** One thread uses this module, and no call keeps it beyond its return: an address, and behind it a length. */
const scratch = Region.map(4096);
const LENGTH_AT = 256;

export interface SocketOptions {
  readonly family: IpFamily;
  readonly type: 'stream' | 'datagram';
  /** Make it in this network namespace, where it stays. */
  readonly namespaceFd?: number | undefined;
  /** SO_MARK; needs CAP_NET_ADMIN. */
  readonly mark?: number | undefined;
}

export function openSocket(options: SocketOptions): number {
  const domain = options.family === 4 ? AF_INET : AF_INET6;
  const type = (options.type === 'stream' ? SOCK_STREAM : SOCK_DGRAM) | NONBLOCK_CLOEXEC;
  const { namespaceFd } = options;
  const fd =
    namespaceFd === undefined ? makeSocket(domain, type) : withinNamespace(namespaceFd, () => makeSocket(domain, type));
  if (fd < 0) throw new SystemCallError('socket', -fd, `IPv${options.family} ${options.type}`);
  if (options.mark !== undefined) {
    try {
      setMark(fd, options.mark);
    } catch (error) {
      closeDescriptor(fd);
      throw error;
    }
  }
  return fd;
}

export function bindSocket(fd: number, ip: string, port: number): void {
  const length = writeSockaddr(scratch.view, 0, ip, port);
  if (libc.bind(fd, scratch.at(0, length), length) === 0) return;
  throw new SystemCallError('bind', lastErrno(), formatIpPort(ip, port));
}

export function listenSocket(fd: number, backlog: number): void {
  if (libc.listen(fd, backlog) === 0) return;
  throw new SystemCallError('listen', lastErrno(), `on descriptor ${fd} with a backlog of ${backlog}`);
}

/** 0 when connected or on the way (`takeSocketError` tells, once writable), else errno. */
export function connectSocket(fd: number, ip: string, port: number): number {
  const length = writeSockaddr(scratch.view, 0, ip, port);
  if (libc.connect(fd, scratch.at(0, length), length) === 0) return 0;
  const errno = lastErrno();
  return errno === EINPROGRESS || errno === EINTR ? 0 : errno;
}

/** The new descriptor, or -errno. `acceptedAddress` tells whose it is, until the next call of this module. */
export function acceptSocket(fd: number): number {
  prepareAddress();
  const accepted = libc.accept4(fd, scratch.at(0, SOCKADDR_IN6_BYTES), scratch.at(LENGTH_AT, 4), NONBLOCK_CLOEXEC);
  return accepted < 0 ? -lastErrno() : accepted;
}

/** The peer of what `acceptSocket` just took from an IP listener, without another system call. */
export function acceptedAddress(): SocketAddress {
  return readSockaddr(scratch.view, 0);
}

export function localAddress(fd: number): SocketAddress {
  prepareAddress();
  if (libc.getsockname(fd, scratch.at(0, SOCKADDR_IN6_BYTES), scratch.at(LENGTH_AT, 4)) !== 0) {
    throw new SystemCallError('getsockname', lastErrno(), `of descriptor ${fd}`);
  }
  return readSockaddr(scratch.view, 0);
}

/** Throws ENOTCONN when the peer has gone meanwhile. */
export function remoteAddress(fd: number): SocketAddress {
  prepareAddress();
  if (libc.getpeername(fd, scratch.at(0, SOCKADDR_IN6_BYTES), scratch.at(LENGTH_AT, 4)) !== 0) {
    throw new SystemCallError('getpeername', lastErrno(), `of descriptor ${fd}`);
  }
  return readSockaddr(scratch.view, 0);
}

/** No more bytes from this side. 0 or errno: ENOTCONN is ordinary, the peer may have reset. */
export function shutdownWrite(fd: number): number {
  return libc.shutdown(fd, SHUT_WR) === 0 ? 0 : lastErrno();
}

/** Linux frees the number whatever close returns, so it is never tried twice. */
export function closeDescriptor(fd: number): void {
  if (libc.close(fd) === 0) return;
  assert(lastErrno() !== EBADF, `descriptor ${fd} is closed once`);
}

export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

export function pipe(): Pipe {
  if (libc.pipe2(scratch.at(0, 8), NONBLOCK_CLOEXEC) !== 0)
    throw new SystemCallError('pipe2', lastErrno(), 'for a pipe');
  return { readFd: scratch.view.getInt32(0, true), writeFd: scratch.view.getInt32(4, true) };
}

export function eventfd(): number {
  const fd = libc.eventfd(0, NONBLOCK_CLOEXEC);
  if (fd < 0) throw new SystemCallError('eventfd', lastErrno(), 'for a wake-up');
  return fd;
}

function makeSocket(domain: number, type: number): number {
  const fd = libc.socket(domain, type, 0);
  return fd < 0 ? -lastErrno() : fd;
}

function prepareAddress(): void {
  scratch.view.setUint32(LENGTH_AT, SOCKADDR_IN6_BYTES, true);
}
