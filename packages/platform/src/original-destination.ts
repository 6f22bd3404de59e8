/**
 * Where a redirected client meant to go: conntrack remembers it, netfilter tells it by socket option
 * (nf_conntrack_l3proto_ipv4.c, ip6_tables.h). IPv4 first, then IPv6, then the local address, as Istio's ztunnel.
 */
import { readSockaddr, SOCKADDR_IN6_BYTES, type SocketAddress } from './address.ts';
import { libc } from './ffi.ts';
import { Region } from './region.ts';
import { localAddress } from './socket.ts';

const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
const IP6T_SO_ORIGINAL_DST = 80;
const LENGTH_AT = 64;

const scratch = Region.map(4096);

/** Of an accepted connection. The local address when it was not redirected, or this kernel keeps no record. */
export function originalDestination(fd: number): SocketAddress {
  return (
    askNetfilter(fd, SOL_IP, SO_ORIGINAL_DST) ?? askNetfilter(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST) ?? localAddress(fd)
  );
}

function askNetfilter(fd: number, level: number, option: number): SocketAddress | null {
  scratch.view.setUint32(LENGTH_AT, SOCKADDR_IN6_BYTES, true);
  const result = libc.getsockopt(fd, level, option, scratch.at(0, SOCKADDR_IN6_BYTES), scratch.at(LENGTH_AT, 4));
  return result === 0 ? readSockaddr(scratch.view, 0) : null;
}
