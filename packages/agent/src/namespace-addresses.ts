/** The addresses inside a network namespace, as iproute2 lists them: also of interfaces that are down. */
import type { Tools } from '@ambit/platform/redirect';
import { canonicalIp } from '@ambit/wire/ip';

export type ReadAddresses = (namespaceFd: number) => Promise<readonly string[]>;

export function addressReader(tools: Tools): ReadAddresses {
  return async (namespaceFd) => {
    return parseAddresses(await tools.run({ tool: 'ip', args: ['-j', 'address', 'show'], namespaceFd }));
  };
}

/** Of `ip -j address show`; every namespace has its own 127.0.0.1 and its own fe80::, so these tell nothing. */
export function parseAddresses(json: string): string[] {
  const links: readonly { readonly addr_info?: readonly { readonly local?: string; readonly scope?: string }[] }[] =
    JSON.parse(json);
  return links
    .flatMap(({ addr_info = [] }) => addr_info)
    .filter(({ scope }) => scope !== 'host' && scope !== 'link')
    .flatMap(({ local = '' }) => canonicalIp(local) ?? []);
}
