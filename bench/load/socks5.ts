/** The client's side of SOCKS5 (RFC 1928): no authentication, CONNECT to an IPv4 address. Framing only, no I/O. */
import type { Ipv4Address } from './sockets.ts';
import { writeIpv4 } from './sockets.ts';

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const COMMAND_CONNECT = 1;
const ADDRESS_IPV4 = 1;
const ADDRESS_IPV6 = 4;

export const GREETING_BYTES = 3;
export const METHOD_BYTES = 2;
export const CONNECT_BYTES = 10;
/** What must have come of a reply before its length is known. */
export const REPLY_HEAD_BYTES = 4;
export const REPLY_BYTES_MAX = 22;

export function writeGreeting(into: Uint8Array, offset: number): void {
  into.set([VERSION, 1, NO_AUTHENTICATION], offset);
}

export function assertMethodAccepted(reply: Uint8Array): void {
  if (reply[0] !== VERSION || reply[1] !== NO_AUTHENTICATION) {
    throw new Error(`the SOCKS5 server answered method ${reply[0]},${reply[1]} instead of 5,0`);
  }
}

export function writeConnect(target: Ipv4Address, into: Uint8Array, offset: number): void {
  into.set([VERSION, COMMAND_CONNECT, 0, ADDRESS_IPV4], offset);
  writeIpv4(target.ip, into, offset + 4);
  into[offset + 8] = target.port >>> 8;
  into[offset + 9] = target.port & 0xff;
}

/** Whole length of the reply whose first `REPLY_HEAD_BYTES` are given. Throws when it is a refusal. */
export function replyBytes(head: Uint8Array): number {
  if (head[0] !== VERSION) throw new Error(`the SOCKS5 server answered with version ${head[0]}`);
  if (head[1] !== 0) throw new Error(`the SOCKS5 server refused the connection with code ${head[1]}`);
  if (head[3] === ADDRESS_IPV4) return 10;
  if (head[3] === ADDRESS_IPV6) return 22;
  throw new Error(`the SOCKS5 server answered with address type ${head[3]}`);
}
