/**
 * struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)) in native memory. An IPv4-mapped IPv6 address reads as IPv4, so
 * that one text names one host whatever kind of socket saw it (as Istio's ztunnel canonicalises).
 */
import { assert } from '@ambit/base/assert';
import { formatIp, parseIp } from '@ambit/wire/ip';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCKADDR_IN_BYTES = 16;
/** Also enough room for either family. */
export const SOCKADDR_IN6_BYTES = 28;

export type IpFamily = 4 | 6;

export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/** Returns the length written. `ip` must be a valid address: text from outside is parsed at the boundary, not here. */
export function writeSockaddr(view: DataView, offset: number, ip: string, port: number): number {
  const bytes = parseIp(ip);
  assert(bytes !== null, `an address to use is valid, not ${JSON.stringify(ip)}`);
  assert(Number.isInteger(port) && port >= 0 && port <= 0xffff, `a port is 0 to 65535, not ${port}`);
  view.setUint16(offset + 2, port);
  if (bytes.length === 4) {
    view.setUint16(offset, AF_INET, true);
    copy(view, offset + 4, bytes);
    view.setUint32(offset + 8, 0);
    view.setUint32(offset + 12, 0);
    return SOCKADDR_IN_BYTES;
  }
  view.setUint16(offset, AF_INET6, true);
  view.setUint32(offset + 4, 0);
  copy(view, offset + 8, bytes);
  view.setUint32(offset + 24, 0);
  return SOCKADDR_IN6_BYTES;
}

/** Reads what the kernel wrote for an IPv4 or IPv6 socket. */
export function readSockaddr(view: DataView, offset: number): SocketAddress {
  const family = view.getUint16(offset, true);
  assert(family === AF_INET || family === AF_INET6, `a socket address is IPv4 or IPv6, not family ${family}`);
  const port = view.getUint16(offset + 2);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, family === AF_INET ? 8 : 24);
  return { ip: family === AF_INET ? formatIp(bytes, 4, 4) : formatIp(bytes, 8, 16), port };
}

/** The kind of socket that an address needs: IPv4 for an IPv4-mapped one too. */
export function ipFamily(ip: string): IpFamily {
  return ip.includes(':') && parseIp(ip)?.length === 16 ? 6 : 4;
}

function copy(view: DataView, offset: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) view.setUint8(offset + i, bytes[i] as number);
}
