/**
 * A plan as scripts for `iptables-restore --noflush` and `ip6tables-restore --noflush` (iptables-restore(8)): chains of our
 * own, one for each table and hook, and a jump to each. Every table changes at once. What is there of ours is a parameter,
 * since a jump that is there must not come twice, and one that is not there cannot be deleted.
 */
import { unreachable } from '@ambit/base/assert';
import type { IpFamily } from '../address.ts';
import {
  type Action,
  type Hook,
  type Is,
  MARK_MASK,
  type Match,
  type RedirectPlan,
  type Rule,
  type Table,
} from './rules.ts';

/** What a `*-save` shows of one owner in one family, by table. */
export interface LiveRules {
  readonly tables: ReadonlyMap<string, LiveTable>;
}

export interface LiveTable {
  readonly chains: readonly string[];
  /** `-A OUTPUT -j AMBIT_POD_OUTPUT`: rules in the chains of others that lead to ours. */
  readonly jumps: readonly string[];
  /** The rules of our chains. */
  readonly rules: readonly string[];
}

export const NO_LIVE_RULES: LiveRules = { tables: new Map() };

/** From what is there to what the plan wants; empty when there is nothing to do. */
export function renderIptables(plan: RedirectPlan, family: IpFamily, live: LiveRules): string {
  return TABLES.map((table) => renderTable(plan, table, family, live.tables.get(table) ?? NO_TABLE)).join('');
}

/** From what is there to nothing. */
export function renderIptablesRemoval(plan: RedirectPlan, family: IpFamily, live: LiveRules): string {
  return renderIptables({ ...plan, rules: [] }, family, live);
}

/** The chains of an owner are told by the name. */
export function chainPrefix(owner: RedirectPlan['owner']): string {
  return `${owner.toUpperCase()}_`;
}

/** nat last: until then nothing is captured, so that a failure before it harms nobody. */
export const TABLES: readonly Table[] = ['raw', 'mangle', 'nat'];
const HOOKS: readonly Hook[] = ['prerouting', 'output', 'postrouting'];
const NO_TABLE: LiveTable = { chains: [], jumps: [], rules: [] };

function renderTable(plan: RedirectPlan, table: Table, family: IpFamily, live: LiveTable): string {
  const rules = plan.rules.filter((rule) => rule.table === table && (rule.family === 'both' || rule.family === family));
  const hooks = HOOKS.filter((hook) => rules.some((rule) => rule.hook === hook));
  const chain = (hook: Hook) => `${chainPrefix(plan.owner)}${hook.toUpperCase()}`;
  const jumps = hooks.map((hook) => ({ hook, text: `-A ${hook.toUpperCase()} -j ${chain(hook)}` }));
  const unwanted = live.chains.filter((name) => !hooks.some((hook) => chain(hook) === name));
  const lines = hooks.map((hook) => `:${chain(hook)} - [0:0]`);
  const kept = new Set<string>();
  for (const jump of live.jumps) {
    if (jumps.some(({ text }) => text === jump) && !kept.has(jump)) kept.add(jump);
    else lines.push(jump.replace(/^-A/, '-D'));
  }
  lines.push(...unwanted.map((name) => `-F ${name}`), ...unwanted.map((name) => `-X ${name}`));
  for (const rule of rules) lines.push(`# ${rule.why}`, `-A ${chain(rule.hook)} ${renderRule(rule)}`);
  for (const { hook, text } of jumps) {
    if (kept.has(text)) continue;
    const name = hook.toUpperCase();
    lines.push(plan.position === 'first' ? text.replace(`-A ${name}`, `-I ${name} 1`) : text);
  }
  return lines.length === 0 ? '' : [`*${table}`, ...lines, 'COMMIT', ''].join('\n');
}

function renderRule({ match, action }: Rule): string {
  return [...renderMatch(match), `-j ${renderAction(action)}`].join(' ');
}

function renderMatch(match: Match): string[] {
  const parts: string[] = [];
  if (match.source !== undefined) parts.push(`-s ${match.source}`);
  if (match.destination !== undefined) parts.push(option('-d', match.destination, String));
  if (match.inInterface !== undefined) parts.push(`-i ${match.inInterface}`);
  if (match.outInterface !== undefined) parts.push(option('-o', match.outInterface, String));
  if (match.protocol !== undefined) parts.push(`-p ${match.protocol}`);
  if (match.sourcePort !== undefined || match.destinationPort !== undefined) parts.push(`-m ${match.protocol}`);
  if (match.sourcePort !== undefined) parts.push(`--sport ${match.sourcePort}`);
  if (match.destinationPort !== undefined) parts.push(option('--dport', match.destinationPort, String));
  if (match.packetMark !== undefined) parts.push('-m mark', option('--mark', match.packetMark, masked));
  if (match.connectionMark !== undefined) parts.push(`-m connmark --mark ${masked(match.connectionMark)}`);
  if (match.localSender !== undefined) parts.push('-m owner', renderSender(match.localSender));
  if (match.destinationSet !== undefined) parts.push(`-m set --match-set ${match.destinationSet} dst`);
  return parts;
}

function renderSender(sender: 'any' | number): string {
  return sender === 'any' ? '--socket-exists' : `--uid-owner ${sender}`;
}

function renderAction(action: Action): string {
  switch (action.do) {
    case 'accept':
    case 'return':
      return action.do.toUpperCase();
    case 'redirect':
      return `REDIRECT --to-ports ${action.port}`;
    case 'set-connection-mark':
      return `CONNMARK --set-xmark ${masked(action.mark)}`;
    case 'restore-mark':
      return 'CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff';
    case 'conntrack-zone':
      return `CT --zone ${action.zone}`;
    case 'snat':
      return `SNAT --to-source ${action.to}`;
    default:
      return unreachable(action);
  }
}

function option<T>(name: string, { value, not }: Is<T>, text: (value: T) => string): string {
  return `${not ? '! ' : ''}${name} ${text(value)}`;
}

function masked(mark: number): string {
  return `0x${mark.toString(16)}/0x${MARK_MASK.toString(16)}`;
}
