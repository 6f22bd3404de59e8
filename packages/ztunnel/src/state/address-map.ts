/**
 * From an address on a network to a value. IPv4 is looked up by its word and IPv6 by eight characters, so that a
 * connection is routed without an address ever being printed.
 */
import type { IpAddress } from '@ambit/model/ip-address';

interface NetworkMaps<Value> {
  readonly ipv4: Map<number, Value>;
  readonly ipv6: Map<string, Value>;
}

export class AddressMap<Value> {
  readonly #networks = new Map<string, NetworkMaps<Value>>();

  get size(): number {
    let size = 0;
    for (const { ipv4, ipv6 } of this.#networks.values()) size += ipv4.size + ipv6.size;
    return size;
  }

  get(network: string, ip: IpAddress): Value | undefined {
    const maps = this.#networks.get(network);
    if (maps === undefined) return undefined;
    return ip.isIpv6 ? maps.ipv6.get(ipv6Key(ip)) : maps.ipv4.get(ip.w0);
  }

  set(network: string, ip: IpAddress, value: Value): void {
    let maps = this.#networks.get(network);
    if (maps === undefined) {
      maps = { ipv4: new Map(), ipv6: new Map() };
      this.#networks.set(network, maps);
    }
    if (ip.isIpv6) maps.ipv6.set(ipv6Key(ip), value);
    else maps.ipv4.set(ip.w0, value);
  }

  delete(network: string, ip: IpAddress): void {
    const maps = this.#networks.get(network);
    if (maps === undefined) return;
    if (ip.isIpv6) maps.ipv6.delete(ipv6Key(ip));
    else maps.ipv4.delete(ip.w0);
    if (maps.ipv4.size + maps.ipv6.size === 0) this.#networks.delete(network);
  }
}

function ipv6Key({ w0, w1, w2, w3 }: IpAddress): string {
  return String.fromCharCode(w0 >>> 16, w0, w1 >>> 16, w1, w2 >>> 16, w2, w3 >>> 16, w3);
}
