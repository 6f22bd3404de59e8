/**
 * The header of the PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, section 2.2): who is behind a connection,
 * before its first byte. As Istio's ztunnel writes it (reference 4.6), with the caller's identity in a field of type 0xD0.
 */
import { assert } from '@ambit/base/assert';
import { parseIp } from './ip.ts';
import { PROXY_IDENTITY_MAX_BYTES } from './limits.ts';

export interface ProxyAddress {
  readonly ip: string;
  /** 0 where none is known. */
  readonly port: number;
}

export interface ProxyHeader {
  readonly source: ProxyAddress;
  readonly destination: ProxyAddress;
  /** The caller's SPIFFE id; null when nothing proved one. */
  readonly identity: string | null;
}

/** Where ztunnel puts the caller's identity; of the types that are left to applications. */
export const PROXY_TLV_IDENTITY = 0xd0;

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2, command PROXY. */
const VERSION_COMMAND = 0x21;
/** Family and transport in one byte. */
const UNSPECIFIED = 0x00;
const TCP_IPV4 = 0x11;
const TCP_IPV6 = 0x21;
const FIXED_BYTES = SIGNATURE.length + 4;
const TLV_HEAD_BYTES = 3;

/** Addresses of two families cannot be told in one header and are left out, as the specification has it. */
export function encodeProxyHeader({ source, destination, identity }: ProxyHeader): Uint8Array {
  const from = addressBytes(source);
  const to = addressBytes(destination);
  const family = from.length !== to.length ? UNSPECIFIED : from.length === 4 ? TCP_IPV4 : TCP_IPV6;
  const addressesBytes = family === UNSPECIFIED ? 0 : from.length + to.length + 4;
  const name = identity === null ? null : new TextEncoder().encode(identity);
  assert(name === null || name.length <= PROXY_IDENTITY_MAX_BYTES, 'an identity fits the header');
  const tlvBytes = name === null ? 0 : TLV_HEAD_BYTES + name.length;

  const header = new Uint8Array(FIXED_BYTES + addressesBytes + tlvBytes);
  const view = new DataView(header.buffer);
  header.set(SIGNATURE);
  header[12] = VERSION_COMMAND;
  header[13] = family;
  view.setUint16(14, addressesBytes + tlvBytes);
  let at = FIXED_BYTES;
  if (family !== UNSPECIFIED) {
    header.set(from, at);
    header.set(to, at + from.length);
    view.setUint16(at + 2 * from.length, source.port);
    view.setUint16(at + 2 * from.length + 2, destination.port);
    at += addressesBytes;
  }
  if (name !== null) {
    header[at] = PROXY_TLV_IDENTITY;
    view.setUint16(at + 1, name.length);
    header.set(name, at + TLV_HEAD_BYTES);
  }
  return header;
}

function addressBytes({ ip, port }: ProxyAddress): Uint8Array {
  const bytes = parseIp(ip);
  assert(bytes !== null && Number.isInteger(port) && port >= 0 && port <= 65_535, 'an address is ip and port');
  return bytes;
}
