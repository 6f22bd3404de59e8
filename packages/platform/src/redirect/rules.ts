/**
 * The one model of redirection: what is captured, in which order, as plain values that nftables.ts and iptables.ts write
 * down in their languages. Semantics, ports and marks are those of istio-cni's in-pod and host rules, so that Istio's
 * ztunnel works behind ours and ours behind Istio's.
 */

import { AmbitError } from '@ambit/base/errors';
import { canonicalIp } from '@ambit/wire/ip';
import type { IpFamily } from '../address.ts';
import { PROBED_ADDRESSES_MAX } from './limits.ts';
import { type CheckedOptions, checkOptions, type RedirectOptions } from './options.ts';

export const OUTBOUND_PORT = 15_001;
export const INBOUND_PLAINTEXT_PORT = 15_006;
export const INBOUND_HBONE_PORT = 15_008;
export const DNS_PORT = 15_053;
/** On every socket of the proxy (SO_MARK): what carries it is not captured again. */
export const PROXY_MARK = 0x539;
/** On connections that the proxy makes in a caller's name, so that their replies come back to the proxy. */
export const RETURN_MARK = 0x111;
/** Other programs may use the bits above. */
export const MARK_MASK = 0xfff;
/** The host calls a pod from this address where a process of the host itself does (the kubelet's probes). */
export const PROBE_SOURCE: Readonly<Record<IpFamily, string>> = {
  4: '169.254.7.127',
  6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
};

export type Table = 'raw' | 'mangle' | 'nat';
export type Hook = 'prerouting' | 'output' | 'postrouting';

export interface Rule {
  readonly table: Table;
  readonly hook: Hook;
  readonly family: IpFamily | 'both';
  readonly match: Match;
  readonly action: Action;
  /** For whoever reads the ruleset. */
  readonly why: string;
}

/** All of it must hold. */
export interface Match {
  readonly protocol?: 'tcp' | 'udp';
  readonly inInterface?: string;
  readonly outInterface?: Is<string>;
  readonly source?: string;
  readonly destination?: Is<string>;
  /** Name of a set of the plan that holds the destination. */
  readonly destinationSet?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: Is<number>;
  /** Compared under MARK_MASK. */
  readonly packetMark?: Is<number>;
  /** Compared under MARK_MASK. */
  readonly connectionMark?: number;
  /** A process in this namespace sent it: any, or of this user. */
  readonly localSender?: 'any' | number;
}

export interface Is<T> {
  readonly value: T;
  readonly not: boolean;
}

export type Action =
  | { readonly do: 'accept' }
  | { readonly do: 'return' }
  | { readonly do: 'redirect'; readonly port: number }
  /** Under MARK_MASK; the bits above stay. */
  | { readonly do: 'set-connection-mark'; readonly mark: number }
  | { readonly do: 'restore-mark' }
  | { readonly do: 'conntrack-zone'; readonly zone: number }
  | { readonly do: 'snat'; readonly to: string };

export interface AddressSet {
  readonly name: string;
  readonly family: IpFamily;
  readonly addresses: readonly string[];
}

export interface RedirectPlan {
  /** Everything made for a plan carries this name, and what carries it is ours to change and remove. */
  readonly owner: 'ambit_pod' | 'ambit_host';
  readonly families: readonly IpFamily[];
  readonly rules: readonly Rule[];
  readonly sets: readonly AddressSet[];
  /** Packets with RETURN_MARK are delivered here, whatever their destination (routing.ts). */
  readonly returnsMarked: boolean;
  /** Before the rules of others at the same place, so that none of theirs decides first, or behind them. */
  readonly position: 'first' | 'last';
}

/** Inside a pod's namespace. */
export function podPlan(options: RedirectOptions): RedirectPlan {
  const checked = checkOptions(options);
  const families: IpFamily[] = checked.ipv6 ? [4, 6] : [4];
  const rules = [...markRules(), ...inboundRules(checked), ...outboundRules(checked)];
  if (checked.dnsCapture) rules.push(...dnsZoneRules());
  return {
    owner: 'ambit_pod',
    families,
    rules: forFamilies(families, rules),
    sets: [],
    returnsMarked: true,
    position: 'last',
  };
}

export interface HostOptions {
  readonly ipv6: boolean;
  /** Of all meshed pods on this node, of either family. */
  readonly podAddresses: readonly string[];
  /** Whose calls count as probes; without it those of every process in the host's own namespace. */
  readonly proberUid?: number;
}

/** In the node's namespace: probes get a source that pods tell from other callers. */
export function hostPlan(options: HostOptions): RedirectPlan {
  const families: IpFamily[] = options.ipv6 ? [4, 6] : [4];
  const sets = families.map((family) => addressSet(family, options.podAddresses));
  const rules = sets.map(
    ({ name, family }): Rule => ({
      table: 'nat',
      hook: 'postrouting',
      family,
      match: { protocol: 'tcp', localSender: options.proberUid ?? 'any', destinationSet: name },
      action: { do: 'snat', to: PROBE_SOURCE[family] },
      why: 'probes reach pods from an address of their own',
    }),
  );
  return { owner: 'ambit_host', families, rules, sets, returnsMarked: false, position: 'first' };
}

const LOOPBACK: Readonly<Record<IpFamily, string>> = { 4: '127.0.0.1/32', 6: '::1/128' };
const BOTH: readonly IpFamily[] = [4, 6];
/** Connections to DNS servers by the proxy and by programs may use the same ports: each kind has its zone. */
const PROXY_DNS_ZONE = 1;
const DNS_SERVER_PORT = 53;

const is = <T>(value: T): Is<T> => ({ value, not: false });
const not = <T>(value: T): Is<T> => ({ value, not: true });
const unmarked = not(PROXY_MARK);

function markRules(): Rule[] {
  return [
    {
      ...at('mangle', 'prerouting'),
      match: { packetMark: is(PROXY_MARK) },
      action: { do: 'set-connection-mark', mark: RETURN_MARK },
      why: 'the proxy calls in the name of a caller: remembered for the replies',
    },
    {
      ...at('mangle', 'output'),
      match: { connectionMark: RETURN_MARK },
      action: { do: 'restore-mark' },
      why: 'replies to such a call go back to the proxy',
    },
  ];
}

function inboundRules(options: CheckedOptions): Rule[] {
  const rules: Rule[] = [];
  const add = (match: Match, action: Action, why: string, family: Rule['family'] = 'both') =>
    rules.push({ ...at('nat', 'prerouting'), family, match: { protocol: 'tcp', ...match }, action, why });
  for (const inInterface of options.rerouteInterfaces) {
    add({ inInterface }, redirectTo(OUTBOUND_PORT), 'a machine in the pod calls out');
    add({ inInterface }, { do: 'return' }, 'a machine in the pod calls out');
  }
  if (options.ingressMode) return rules;
  for (const family of BOTH) {
    add({ source: PROBE_SOURCE[family] }, { do: 'accept' }, 'probes of the node pass', family);
  }
  for (const port of options.excludeInboundPorts) {
    add({ destinationPort: is(port) }, { do: 'return' }, 'excluded inbound port');
  }
  for (const family of BOTH) {
    const match: Match = {
      destination: not(LOOPBACK[family]),
      destinationPort: not(INBOUND_HBONE_PORT),
      packetMark: unmarked,
    };
    add(match, redirectTo(INBOUND_PLAINTEXT_PORT), 'what comes in, but for HBONE', family);
  }
  return rules;
}

function outboundRules(options: CheckedOptions): Rule[] {
  const rules: Rule[] = [];
  const add = (match: Match, action: Action, why: string, family: Rule['family'] = 'both') =>
    rules.push({ ...at('nat', 'output'), family, match, action, why });
  for (const family of BOTH) {
    const match: Match = { protocol: 'tcp', destination: is(PROBE_SOURCE[family]) };
    add(match, { do: 'accept' }, 'answers to probes pass', family);
  }
  if (options.dnsCapture) {
    const toServer = { destinationPort: is(DNS_SERVER_PORT), packetMark: unmarked };
    add({ protocol: 'udp', outInterface: not('lo'), ...toServer }, redirectTo(DNS_PORT), 'DNS over UDP');
    for (const family of BOTH) {
      const match: Match = { protocol: 'tcp', destination: not(LOOPBACK[family]), ...toServer };
      add(match, redirectTo(DNS_PORT), 'DNS over TCP', family);
    }
  }
  add({ protocol: 'tcp', packetMark: is(RETURN_MARK) }, { do: 'accept' }, 'replies on their way to the proxy');
  for (const family of BOTH) {
    const match: Match = { outInterface: is('lo'), destination: not(LOOPBACK[family]) };
    add(match, { do: 'accept' }, 'a pod that calls itself', family);
  }
  for (const port of options.excludeOutboundPorts) {
    add({ protocol: 'tcp', destinationPort: is(port) }, { do: 'return' }, 'excluded outbound port');
  }
  for (const { family, cidr } of options.excludeOutboundCidrs) {
    add({ protocol: 'tcp', destination: is(cidr) }, { do: 'return' }, 'excluded outbound block', family);
  }
  for (const family of BOTH) {
    const match: Match = { protocol: 'tcp', destination: not(LOOPBACK[family]), packetMark: unmarked };
    add(match, redirectTo(OUTBOUND_PORT), 'what goes out', family);
  }
  return rules;
}

function dnsZoneRules(): Rule[] {
  const action: Action = { do: 'conntrack-zone', zone: PROXY_DNS_ZONE };
  const why = 'the DNS of the proxy has a zone of its own';
  return [
    {
      ...at('raw', 'output'),
      match: { protocol: 'udp', packetMark: is(PROXY_MARK), destinationPort: is(DNS_SERVER_PORT) },
      action,
      why,
    },
    {
      ...at('raw', 'prerouting'),
      match: { protocol: 'udp', packetMark: unmarked, sourcePort: DNS_SERVER_PORT },
      action,
      why,
    },
  ];
}

function at(table: Table, hook: Hook): Pick<Rule, 'table' | 'hook' | 'family'> {
  return { table, hook, family: 'both' };
}

function redirectTo(port: number): Action {
  return { do: 'redirect', port };
}

/** Rules for both families become rules for IPv4 where IPv6 is not captured. */
function forFamilies(families: readonly IpFamily[], rules: readonly Rule[]): Rule[] {
  if (families.includes(6)) return [...rules];
  return rules.filter(({ family }) => family !== 6).map((rule) => ({ ...rule, family: 4 }));
}

function addressSet(family: IpFamily, texts: readonly string[]): AddressSet {
  const addresses = new Set<string>();
  for (const text of texts) {
    const ip = canonicalIp(text);
    if (ip === null) throw hostError(`${JSON.stringify(text)} is not an address of a pod`);
    if (ip.includes(':') === (family === 6)) addresses.add(ip);
  }
  if (addresses.size > PROBED_ADDRESSES_MAX) throw hostError(`${addresses.size} pods are too many for one node`);
  return { name: `ambit_host_probes${family}`, family, addresses: [...addresses].sort() };
}

function hostError(message: string): AmbitError {
  return new AmbitError('REDIRECT_OPTIONS', message, { side: 'internal', retry: 'never' });
}
