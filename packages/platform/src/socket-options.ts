/** Socket options by name (socket(7), tcp(7), ip(7), ipv6(7)); re-exported by socket.ts. All throw `SystemCallError`. */
import type { IpFamily } from './address.ts';
import { lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { Region } from './region.ts';
import { SystemCallError } from './system-call-error.ts';

const SOL_IP = 0;
const IP_FREEBIND = 15;
const IP_TRANSPARENT = 19;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const SO_MARK = 36;
const SOL_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;
const IPV6_FREEBIND = 78;

const scratch = Region.map(4096);

/** The errno that a connection met in the background, cleared by reading; 0 for none. */
export function takeSocketError(fd: number): number {
  return getOption(fd, SOL_SOCKET, SO_ERROR, 'SO_ERROR');
}

export function setNoDelay(fd: number): void {
  setOption(fd, SOL_TCP, TCP_NODELAY, 1, 'TCP_NODELAY');
}

export function setReuseAddress(fd: number): void {
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, 'SO_REUSEADDR');
}

export function setReusePort(fd: number): void {
  setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1, 'SO_REUSEPORT');
}

export function setMark(fd: number, mark: number): void {
  setOption(fd, SOL_SOCKET, SO_MARK, mark, 'SO_MARK');
}

/** May then be bound to an address that is not this host's, which is how a proxy keeps the client's own (ip(7)). */
export function setTransparent(fd: number, family: IpFamily): void {
  if (family === 4) {
    setOption(fd, SOL_IP, IP_TRANSPARENT, 1, 'IP_TRANSPARENT');
    setOption(fd, SOL_IP, IP_FREEBIND, 1, 'IP_FREEBIND');
  } else {
    setOption(fd, SOL_IPV6, IPV6_TRANSPARENT, 1, 'IPV6_TRANSPARENT');
    setOption(fd, SOL_IPV6, IPV6_FREEBIND, 1, 'IPV6_FREEBIND');
  }
}

export interface Keepalive {
  readonly idleS: number;
  readonly intervalS: number;
  readonly count: number;
}

export function setKeepalive(fd: number, keepalive: Keepalive): void {
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1, 'SO_KEEPALIVE');
  setOption(fd, SOL_TCP, TCP_KEEPIDLE, keepalive.idleS, 'TCP_KEEPIDLE');
  setOption(fd, SOL_TCP, TCP_KEEPINTVL, keepalive.intervalS, 'TCP_KEEPINTVL');
  setOption(fd, SOL_TCP, TCP_KEEPCNT, keepalive.count, 'TCP_KEEPCNT');
}

/** Closing now sends a reset instead of an ordinary end, so that the peer does not take the stream for complete. */
export function setLingerReset(fd: number): void {
  scratch.view.setInt32(0, 1, true);
  scratch.view.setInt32(4, 0, true);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.at(0, 8), 8) === 0) return;
  throw new SystemCallError('setsockopt', lastErrno(), `SO_LINGER on descriptor ${fd}`);
}

/** `only` false makes an IPv6 listener take IPv4 as well, whatever net.ipv6.bindv6only says. */
export function setV6Only(fd: number, only: boolean): void {
  setOption(fd, SOL_IPV6, IPV6_V6ONLY, only ? 1 : 0, 'IPV6_V6ONLY');
}

/** The kernel doubles what is given and caps it (net.core.wmem_max, rmem_max); setting it ends autotuning. */
export function setBufferBytes(fd: number, buffers: { sendBytes?: number; receiveBytes?: number }): void {
  if (buffers.sendBytes !== undefined) setOption(fd, SOL_SOCKET, SO_SNDBUF, buffers.sendBytes, 'SO_SNDBUF');
  if (buffers.receiveBytes !== undefined) setOption(fd, SOL_SOCKET, SO_RCVBUF, buffers.receiveBytes, 'SO_RCVBUF');
}

function setOption(fd: number, level: number, option: number, value: number, name: string): void {
  scratch.view.setInt32(0, value, true);
  if (libc.setsockopt(fd, level, option, scratch.at(0, 4), 4) === 0) return;
  throw new SystemCallError('setsockopt', lastErrno(), `${name}=${value} on descriptor ${fd}`);
}

function getOption(fd: number, level: number, option: number, name: string): number {
  scratch.view.setUint32(8, 4, true);
  if (libc.getsockopt(fd, level, option, scratch.at(0, 4), scratch.at(8, 4)) !== 0) {
    throw new SystemCallError('getsockopt', lastErrno(), `${name} of descriptor ${fd}`);
  }
  return scratch.view.getInt32(0, true);
}
