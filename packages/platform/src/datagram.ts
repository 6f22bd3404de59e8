/**
 * UDP sockets (udp(7), recv(2), send(2)): what DNS needs of them. A datagram may always be lost, so sending tells that it
 * failed and never waits. Set-up throws `SystemCallError`; calls of ordinary traffic return errno.
 */
import { assert } from '@ambit/base/assert';
import { ipFamily, readSockaddr, SOCKADDR_IN6_BYTES, type SocketAddress, writeSockaddr } from './address.ts';
import { lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { DATAGRAM_BYTES_MAX } from './limits.ts';
import { Region } from './region.ts';
import { bindSocket, closeDescriptor, connectSocket, openSocket, SystemCallError, setReusePort } from './socket.ts';

const MSG_NOSIGNAL = 0x4000;

/** The peer's address, behind it its length, then what is sent. */
const LENGTH_AT = 64;
const PAYLOAD_AT = 128;
const scratch = Region.map(PAYLOAD_AT + DATAGRAM_BYTES_MAX);

export interface DatagramSocketOptions {
  readonly ip: string;
  readonly port: number;
  readonly namespaceFd?: number | undefined;
  readonly mark?: number | undefined;
}

/** Bound to an address. `reusePort` lets the next generation of a proxy bind beside this one. */
export function bindDatagram(options: DatagramSocketOptions & { readonly reusePort?: boolean }): number {
  return prepared(options, (fd) => {
    if (options.reusePort === true) setReusePort(fd);
    bindSocket(fd, options.ip, options.port);
  });
}

/**
 * Takes datagrams from this peer alone, from a port that the kernel chooses at random, and hears when the peer is not
 * there: receiving and sending then give ECONNREFUSED once.
 */
export function connectDatagram(options: DatagramSocketOptions): number {
  return prepared(options, (fd) => {
    const errno = connectSocket(fd, options.ip, options.port);
    if (errno !== 0) throw new SystemCallError('connect', errno, `${options.ip} port ${options.port}`);
  });
}

/** The length received into `region`, or -errno (EAGAIN: there is none). What does not fit `lengthMax` is cut off. */
export function receiveDatagram(fd: number, region: Region, offset: number, lengthMax: number): number {
  scratch.view.setUint32(LENGTH_AT, SOCKADDR_IN6_BYTES, true);
  const target = region.at(offset, lengthMax);
  const address = scratch.at(0, SOCKADDR_IN6_BYTES);
  const length = libc.recvfrom(fd, target, lengthMax, 0, address, scratch.at(LENGTH_AT, 4));
  return length < 0 ? -lastErrno() : length;
}

/** Who sent what `receiveDatagram` just took, until the next call of this module. */
export function datagramSource(): SocketAddress {
  return readSockaddr(scratch.view, 0);
}

/** The length sent, or -errno. `to` is null on a connected socket. */
export function sendDatagram(
  fd: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  to: SocketAddress | null,
): number {
  assert(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'a datagram lies within its bytes');
  assert(length <= DATAGRAM_BYTES_MAX, `a datagram has at most ${DATAGRAM_BYTES_MAX} bytes`);
  scratch.bytes.set(bytes.subarray(offset, offset + length), PAYLOAD_AT);
  const addressBytes = to === null ? 0 : writeSockaddr(scratch.view, 0, to.ip, to.port);
  const address = to === null ? 0 : scratch.at(0, addressBytes);
  const sent = libc.sendto(fd, scratch.at(PAYLOAD_AT, length), length, MSG_NOSIGNAL, address, addressBytes);
  return sent < 0 ? -lastErrno() : sent;
}

function prepared({ ip, namespaceFd, mark }: DatagramSocketOptions, prepare: (fd: number) => void): number {
  const fd = openSocket({ family: ipFamily(ip), type: 'datagram', namespaceFd, mark });
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}
