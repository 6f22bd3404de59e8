/**
 * A plan as one script for `nft -f -` (nft(8)): a table of our own in the family inet, deleted and made anew in one
 * transaction, so that there is never a moment without it and nothing of an older plan stays.
 */
import { unreachable } from '@ambit/base/assert';
import type { IpFamily } from '../address.ts';
import {
  type Action,
  type AddressSet,
  type Hook,
  type Is,
  MARK_MASK,
  type Match,
  type RedirectPlan,
  type Rule,
  type Table,
} from './rules.ts';

export function renderNftables(plan: RedirectPlan): string {
  const body = [...plan.sets.map(renderSet), ...chainsOf(plan.rules).map((chain) => renderChain(chain, plan.position))];
  return [...emptied(plan.owner), `table inet ${plan.owner} {`, body.join('\n\n'), '}', ''].join('\n');
}

export function renderNftablesRemoval(owner: RedirectPlan['owner']): string {
  return [...emptied(owner), ''].join('\n');
}

interface Chain {
  readonly table: Table;
  readonly hook: Hook;
  readonly rules: Rule[];
}

/** The hooks and priorities of the iptables tables of these names; `route` decides the route anew for a changed mark. */
const PRIORITY: Readonly<Record<Table, number>> = { raw: -300, mangle: -150, nat: -100 };
const POSTROUTING_NAT_PRIORITY = 100;
const MARK_REST = ~MARK_MASK >>> 0;

/** Adding what is there already is no error, deleting what is not there is one. */
function emptied(owner: string): string[] {
  return [`add table inet ${owner}`, `delete table inet ${owner}`];
}

/** Only chains that have rules: an empty hook costs time for nothing. */
function chainsOf(rules: readonly Rule[]): Chain[] {
  const chains = new Map<string, Chain>();
  for (const rule of rules) {
    const { table, hook } = rule;
    const key = `${table}_${hook}`;
    const chain = chains.get(key) ?? { table, hook, rules: [] };
    chain.rules.push(rule);
    chains.set(key, chain);
  }
  return [...chains.values()];
}

function renderSet({ name, family, addresses }: AddressSet): string {
  const elements = addresses.length === 0 ? '' : `\n    elements = { ${addresses.join(', ')} }`;
  return `  set ${name} {\n    type ipv${family}_addr${elements}\n  }`;
}

function renderChain({ table, hook, rules }: Chain, position: RedirectPlan['position']): string {
  const type = table === 'nat' ? 'nat' : table === 'mangle' && hook === 'output' ? 'route' : 'filter';
  const priority =
    (hook === 'postrouting' ? POSTROUTING_NAT_PRIORITY : PRIORITY[table]) - (position === 'first' ? 1 : 0);
  const lines = rules.map((rule) => `    ${renderRule(rule)}`);
  const head = `    type ${type} hook ${hook} priority ${priority}; policy accept;`;
  return [`  chain ${table}_${hook} {`, head, ...lines, '  }'].join('\n');
}

function renderRule({ family, match, action, why }: Rule): string {
  return [
    ...renderFamily(family, match),
    ...renderMatch(family, match),
    'counter',
    renderAction(action),
    `comment "${why}"`,
  ].join(' ');
}

/** Where an address or its set does not already say it. */
function renderFamily(family: Rule['family'], match: Match): string[] {
  const said = match.source !== undefined || match.destination !== undefined || match.destinationSet !== undefined;
  return family === 'both' || said ? [] : [`meta nfproto ipv${family}`];
}

function renderMatch(family: Rule['family'], match: Match): string[] {
  const parts: string[] = [];
  const { protocol } = match;
  const ip = ipKeyword(family);
  const hasPort = match.sourcePort !== undefined || match.destinationPort !== undefined;
  if (match.inInterface !== undefined) parts.push(`iifname "${match.inInterface}"`);
  if (match.outInterface !== undefined) parts.push(`oifname ${compare(match.outInterface, (name) => `"${name}"`)}`);
  if (protocol !== undefined && !hasPort) parts.push(`meta l4proto ${protocol}`);
  if (match.localSender !== undefined) parts.push(renderSender(match.localSender));
  if (match.source !== undefined) parts.push(`${ip} saddr ${match.source}`);
  if (match.destination !== undefined) parts.push(`${ip} daddr ${compare(match.destination, String)}`);
  if (match.destinationSet !== undefined) parts.push(`${ip} daddr @${match.destinationSet}`);
  if (match.sourcePort !== undefined) parts.push(`${protocol} sport ${match.sourcePort}`);
  if (match.destinationPort !== undefined) parts.push(`${protocol} dport ${compare(match.destinationPort, String)}`);
  if (match.packetMark !== undefined) {
    parts.push(`meta mark & ${hex(MARK_MASK)} ${match.packetMark.not ? '!=' : '=='} ${hex(match.packetMark.value)}`);
  }
  if (match.connectionMark !== undefined) parts.push(`ct mark & ${hex(MARK_MASK)} == ${hex(match.connectionMark)}`);
  return parts;
}

/** The expression fails for packets without a socket of this namespace, so that any user id will do. */
function renderSender(sender: 'any' | number): string {
  return sender === 'any' ? 'meta skuid >= 0' : `meta skuid ${sender}`;
}

function renderAction(action: Action): string {
  switch (action.do) {
    case 'accept':
    case 'return':
      return action.do;
    case 'redirect':
      return `redirect to :${action.port}`;
    case 'set-connection-mark':
      return `ct mark set ct mark & ${hex(MARK_REST)} | ${hex(action.mark)}`;
    case 'restore-mark':
      return 'meta mark set ct mark';
    case 'conntrack-zone':
      return `ct zone set ${action.zone}`;
    case 'snat':
      return `snat ${action.to.includes(':') ? 'ip6' : 'ip'} to ${action.to}`;
    default:
      return unreachable(action);
  }
}

function ipKeyword(family: IpFamily | 'both'): string {
  return family === 6 ? 'ip6' : 'ip';
}

function compare<T>({ value, not }: Is<T>, text: (value: T) => string): string {
  return not ? `!= ${text(value)}` : text(value);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
