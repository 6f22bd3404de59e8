/** One ICMP echo over a raw socket (RFC 792, RFC 4443): the program of that name is often not installed. */
import type { IpFamily } from '../address.ts';
import { AF_INET, AF_INET6 } from '../address.ts';
import { lastErrno } from '../errno.ts';
import { libc } from '../ffi.ts';
import { withinNamespace } from '../namespace.ts';
import { Region } from '../region.ts';
import { eventually } from '../socket.fixture.ts';
import { closeDescriptor, connectSocket } from '../socket.ts';

/** Ends when the answer is there. */
export async function ping(namespaceFd: number, ip: string): Promise<void> {
  const family: IpFamily = ip.includes(':') ? 6 : 4;
  const { domain, protocol, request, reply, headerBytes } = ICMP[family];
  const fd = withinNamespace(namespaceFd, () => libc.socket(domain, SOCK_RAW | NONBLOCK_CLOEXEC, protocol));
  if (fd < 0) throw new Error(`a raw socket gave errno ${lastErrno()}`);
  try {
    connectSocket(fd, ip, 0);
    // Type, code, checksum, identifier, sequence; the kernel fills in the checksum of ICMPv6.
    scratch.bytes.set([request, 0, 0, 0, IDENTIFIER >> 8, IDENTIFIER & 0xff, 0, 1]);
    if (family === 4) scratch.view.setUint16(2, ~((request << 8) + IDENTIFIER + 1));
    if (libc.write(fd, scratch.at(0, 8), 8) !== 8) throw new Error(`sending an echo gave errno ${lastErrno()}`);
    await eventually(() => {
      const length = libc.read(fd, scratch.at(0, 1500), 1500);
      if (length < headerBytes + 8) return null;
      const isReply = scratch.bytes[headerBytes] === reply;
      return isReply && scratch.view.getUint16(headerBytes + 4) === IDENTIFIER ? true : null;
    });
  } finally {
    closeDescriptor(fd);
  }
}

const SOCK_RAW = 3;
const NONBLOCK_CLOEXEC = 0o2004000;
const IDENTIFIER = 0x1a2b;
/** Raw IPv4 sockets read the IP header as well. */
const ICMP = {
  4: { domain: AF_INET, protocol: 1, request: 8, reply: 0, headerBytes: 20 },
  6: { domain: AF_INET6, protocol: 58, request: 128, reply: 129, headerBytes: 0 },
} as const;
const scratch = Region.map(4096);
