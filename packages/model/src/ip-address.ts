/**
 * Addresses and address blocks as four 32-bit words, so that a block contains an address after at most four ANDs and no
 * allocation. IPv4-mapped IPv6 is folded to IPv4 wherever it comes from: one peer must not have two names. For blocks
 * Istio's ztunnel does not fold, and one written in mapped form matches nothing there.
 */
import { formatIp, parseIp } from '@ambit/wire/ip';

/** Words are signed, as `|` makes them: small integers in the engine's eyes, and equality is all that is asked. */
export class IpAddress {
  readonly isIpv6: boolean;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;

  constructor(isIpv6: boolean, w0: number, w1: number, w2: number, w3: number) {
    this.isIpv6 = isIpv6;
    this.w0 = w0;
    this.w1 = w1;
    this.w2 = w2;
    this.w3 = w3;
  }

  get isLoopback(): boolean {
    if (!this.isIpv6) return this.w0 >>> 24 === 127;
    return this.w0 === 0 && this.w1 === 0 && this.w2 === 0 && this.w3 === 1;
  }

  equals(other: IpAddress): boolean {
    const { isIpv6, w0, w1, w2, w3 } = other;
    return this.isIpv6 === isIpv6 && this.w0 === w0 && this.w1 === w1 && this.w2 === w2 && this.w3 === w3;
  }

  toBytes(): Uint8Array {
    const words = this.isIpv6 ? [this.w0, this.w1, this.w2, this.w3] : [this.w0];
    return Uint8Array.from(
      words.flatMap((word) => [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff]),
    );
  }

  toString(): string {
    return formatIp(this.toBytes());
  }
}

/** Null unless there are 4 or 16 bytes. */
export function ipAddressOf(bytes: Uint8Array): IpAddress | null {
  if (bytes.length === 4) return new IpAddress(false, wordAt(bytes, 0), 0, 0, 0);
  if (bytes.length !== 16) return null;
  if (isMapped(bytes)) return new IpAddress(false, wordAt(bytes, 12), 0, 0, 0);
  return new IpAddress(true, wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12));
}

export function parseIpAddress(text: string): IpAddress | null {
  const bytes = parseIp(text);
  return bytes === null ? null : ipAddressOf(bytes);
}

/** An address block. Bits of the address behind the prefix are allowed and say nothing, as everywhere in Istio. */
export class Cidr {
  readonly address: IpAddress;
  readonly prefixBits: number;
  readonly #mask: IpAddress;

  constructor(address: IpAddress, prefixBits: number) {
    this.address = address;
    this.prefixBits = prefixBits;
    const { isIpv6 } = address;
    this.#mask = new IpAddress(
      isIpv6,
      maskOf(prefixBits),
      maskOf(prefixBits - 32),
      maskOf(prefixBits - 64),
      maskOf(prefixBits - 96),
    );
  }

  contains(ip: IpAddress): boolean {
    const { address } = this;
    const mask = this.#mask;
    return (
      ip.isIpv6 === address.isIpv6 &&
      ((ip.w0 ^ address.w0) & mask.w0) === 0 &&
      ((ip.w1 ^ address.w1) & mask.w1) === 0 &&
      ((ip.w2 ^ address.w2) & mask.w2) === 0 &&
      ((ip.w3 ^ address.w3) & mask.w3) === 0
    );
  }

  toString(): string {
    return `${this.address}/${this.prefixBits}`;
  }
}

/** Null unless the address is one and the prefix fits it. */
export function cidrOf(bytes: Uint8Array, prefixBits: number): Cidr | null {
  const address = ipAddressOf(bytes);
  if (address === null || !Number.isInteger(prefixBits) || prefixBits < 0 || prefixBits > bytes.length * 8) return null;
  if (address.isIpv6 || bytes.length === 4) return new Cidr(address, prefixBits);
  // Mapped: a prefix shorter than the 96 bits that mark it reaches beyond IPv4 and stays IPv6.
  if (prefixBits >= 96) return new Cidr(address, prefixBits - 96);
  return new Cidr(new IpAddress(true, 0, 0, 0xffff, address.w0), prefixBits);
}

/** `10.0.0.0/8`, or an address for itself alone. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  if (slash < 0) {
    const address = parseIpAddress(text);
    return address === null ? null : new Cidr(address, address.isIpv6 ? 128 : 32);
  }
  const bits = text.slice(slash + 1);
  const address = parseIpAddress(text.slice(0, slash));
  if (address === null || !/^(0|[1-9]\d{0,2})$/.test(bits)) return null;
  const isMappedText = !address.isIpv6 && text.includes(':');
  return cidrOf(isMappedText ? mappedBytes(address) : address.toBytes(), Number(bits));
}

function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

function wordAt(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

function isMapped(bytes: Uint8Array): boolean {
  return wordAt(bytes, 0) === 0 && wordAt(bytes, 4) === 0 && wordAt(bytes, 8) === 0xffff;
}

function mappedBytes(ipv4: IpAddress): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(ipv4.toBytes(), 12);
  return bytes;
}
