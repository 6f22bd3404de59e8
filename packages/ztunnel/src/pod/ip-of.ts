/** The address of a socket as the decision core wants it. */
import { assert } from '@ambit/base/assert';
import { type IpAddress, parseIpAddress } from '@ambit/model/ip-address';

/** Engines and codecs give canonical text: what is none is a bug of ours, and costs the connection. */
export function ipOf({ ip }: { readonly ip: string }): IpAddress {
  const parsed = parseIpAddress(ip);
  assert(parsed !== null, 'a socket address is an IP address');
  return parsed;
}
