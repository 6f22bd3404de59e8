/** The few IPv4 socket calls that the measuring side needs. Non-blocking, close-on-exec, without Nagle's delay. */
import { EAGAIN, errnoName, lastErrno } from '@ambit/platform/errno';
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';

const AF_INET = 2;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SHUT_WR = 1;
const EINPROGRESS = 115;
const RLIMIT_NOFILE = 7;
const BACKLOG = 4096;

const ADDRESS_BYTES = 16;
const scratch = Region.map(64);
const OPTION_OFFSET = 32;

export interface Ipv4Address {
  readonly ip: string;
  readonly port: number;
}

export function listenOn(ip: string): { readonly fd: number; readonly port: number } {
  const fd = check('socket', libc.socket(AF_INET, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
  setOption(fd, SOL_SOCKET, SO_REUSEADDR);
  check('bind', libc.bind(fd, writeAddress({ ip, port: 0 }), ADDRESS_BYTES));
  check('listen', libc.listen(fd, BACKLOG));
  scratch.view.setUint32(OPTION_OFFSET, ADDRESS_BYTES, true);
  check('getsockname', libc.getsockname(fd, scratch.at(0, ADDRESS_BYTES), scratch.at(OPTION_OFFSET, 4)));
  return { fd, port: scratch.view.getUint16(2) };
}

/** A connection from the queue, or -1 when there is none. */
export function acceptFrom(listener: number): number {
  const fd = libc.accept4(listener, 0, 0, NONBLOCK_CLOEXEC);
  if (fd < 0) {
    if (lastErrno() === EAGAIN) return -1;
    check('accept', fd);
  }
  setOption(fd, IPPROTO_TCP, TCP_NODELAY);
  return fd;
}

/** Under way, not yet connected: `connectError` tells how it went once the socket is writable. */
export function connectTo(address: Ipv4Address): number {
  const fd = check('socket', libc.socket(AF_INET, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
  setOption(fd, IPPROTO_TCP, TCP_NODELAY);
  if (libc.connect(fd, writeAddress(address), ADDRESS_BYTES) < 0 && lastErrno() !== EINPROGRESS) check('connect', -1);
  return fd;
}

/** Throws when the connection under way has failed. */
export function assertConnected(fd: number): void {
  scratch.view.setUint32(OPTION_OFFSET + 8, 4, true);
  const value = scratch.at(OPTION_OFFSET, 4);
  check('getsockopt', libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, scratch.at(OPTION_OFFSET + 8, 4)));
  const errno = scratch.view.getUint32(OPTION_OFFSET, true);
  if (errno !== 0) throw new Error(`connect failed: ${errnoName(errno)}`);
}

/** Bytes read; 0 at the end of the stream; -1 when there is nothing yet. */
export function readInto(fd: number, address: number, length: number): number {
  const count = libc.read(fd, address, length);
  if (count < 0 && lastErrno() !== EAGAIN) check('read', count);
  return count;
}

/** Bytes taken; -1 when there is no room. */
export function writeFrom(fd: number, address: number, length: number): number {
  const count = libc.write(fd, address, length);
  if (count < 0 && lastErrno() !== EAGAIN) check('write', count);
  return count;
}

export function endWriting(fd: number): void {
  check('shutdown', libc.shutdown(fd, SHUT_WR));
}

/** Raises the limit of open files, the hard one too where the user may; children inherit it. Returns the new limit. */
export function raiseOpenFiles(wanted: number): number {
  const limit = scratch.at(0, 16);
  check('getrlimit', libc.getrlimit(RLIMIT_NOFILE, limit));
  const hard = Number(scratch.view.getBigUint64(8, true));
  if (hard < wanted) {
    scratch.view.setBigUint64(0, BigInt(wanted), true);
    scratch.view.setBigUint64(8, BigInt(wanted), true);
    if (libc.setrlimit(RLIMIT_NOFILE, limit) === 0) return wanted;
  }
  const reachable = Math.min(hard, wanted);
  scratch.view.setBigUint64(0, BigInt(reachable), true);
  scratch.view.setBigUint64(8, BigInt(hard), true);
  check('setrlimit', libc.setrlimit(RLIMIT_NOFILE, limit));
  return reachable;
}

function writeAddress(address: Ipv4Address): number {
  scratch.bytes.fill(0, 0, ADDRESS_BYTES);
  scratch.view.setUint16(0, AF_INET, true);
  scratch.view.setUint16(2, address.port);
  writeIpv4(address.ip, scratch.bytes, 4);
  return scratch.at(0, ADDRESS_BYTES);
}

export function writeIpv4(ip: string, into: Uint8Array, offset: number): void {
  const parts = ip.split('.');
  for (let i = 0; i < 4; i++) into[offset + i] = Number(parts[i]);
}

function setOption(fd: number, level: number, option: number): void {
  scratch.view.setUint32(OPTION_OFFSET, 1, true);
  check('setsockopt', libc.setsockopt(fd, level, option, scratch.at(OPTION_OFFSET, 4), 4));
}

function check(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed: ${errnoName(lastErrno())}`);
  return result;
}
