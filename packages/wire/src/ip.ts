/**
 * IP addresses between text and network-order bytes: dotted IPv4 without leading zeros, IPv6 as RFC 4291 section 2.2 on
 * the way in and RFC 5952 on the way out. IPv4-mapped IPv6 is folded to IPv4, as Istio's ztunnel does with every address,
 * because one peer must not have two names. A zone (`%eth0`) is refused: nothing on the wire carries a scope.
 */
const DOTTED_PART = /^(0|[1-9]\d{0,2})$/;
const IPV6_GROUP = /^[0-9a-fA-F]{1,4}$/;
const PORT = /^[1-9]\d{0,4}$/;

/** Longest text of an address: eight groups, of which the last two may be dotted. Bounds the work before it starts. */
const IP_TEXT_MAX_BYTES = 45;

export interface IpPort {
  /** Canonical text. */
  readonly ip: string;
  readonly port: number;
}

/** 4 or 16 bytes; null when the text is not an address. */
export function parseIp(text: string): Uint8Array | null {
  if (text.length > IP_TEXT_MAX_BYTES) return null;
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** The canonical text of 4 or 16 bytes. */
export function formatIp(bytes: Uint8Array, offset = 0, length = bytes.length - offset): string {
  if (length === 4) return formatIpv4(bytes, offset);
  if (isMapped(bytes, offset)) return formatIpv4(bytes, offset + 12);
  const groups: number[] = [];
  for (let i = offset; i < offset + 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  const gap = longestZeroRun(groups);
  if (gap.length < 2) return hexGroups(groups);
  return `${hexGroups(groups.slice(0, gap.start))}::${hexGroups(groups.slice(gap.start + gap.length))}`;
}

/** One text for each address, so that texts can be compared; null when it is not an address. */
export function canonicalIp(text: string): string | null {
  const bytes = parseIp(text);
  return bytes === null ? null : formatIp(bytes);
}

/** `1.2.3.4:80` or `[2001:db8::1]:80`; the port is 1 to 65535. */
export function parseIpPort(text: string): IpPort | null {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return null;
  const port = parsePort(text.slice(colon + 1));
  let address = text.slice(0, colon);
  const bracketed = address.startsWith('[') && address.endsWith(']');
  if (bracketed) address = address.slice(1, -1);
  // Brackets belong to IPv6 and to nothing else (RFC 3986 section 3.2.2).
  if (port === null || bracketed !== address.includes(':')) return null;
  const ip = canonicalIp(address);
  return ip === null ? null : { ip, port };
}

export function formatIpPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Decimal without sign or leading zeros; null outside 1 to 65535. */
export function parsePort(text: string): number | null {
  const port = PORT.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!DOTTED_PART.test(part) || Number(part) > 255) return null;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const known = head.length + tail.length;
  // `::` stands for at least one group.
  if (halves.length === 1 ? known !== 16 : known > 14) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return isMapped(bytes, 0) ? bytes.slice(12) : bytes;
}

/** Only the last group of an address may be dotted. */
function parseGroups(text: string, mayEndDotted: boolean): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (IPV6_GROUP.test(part)) {
      const group = Number.parseInt(part, 16);
      bytes.push(group >> 8, group & 0xff);
    } else {
      const dotted = mayEndDotted && i === parts.length - 1 ? parseIpv4(part) : null;
      if (dotted === null) return null;
      bytes.push(...dotted);
    }
  }
  return bytes;
}

function isMapped(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i += 1) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

function formatIpv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** The first of the longest (RFC 5952 section 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < groups.length; i += 1) {
    let end = i;
    while (end < groups.length && groups[end] === 0) end += 1;
    if (end - i > best.length) best = { start: i, length: end - i };
  }
  return best;
}
