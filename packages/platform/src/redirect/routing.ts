/**
 * Replies to connections that the proxy made in a caller's name are addressed to that caller; the mark that rules.ts
 * restores on them sends them through a table in which everything is local, and so to the proxy's socket (ip-rule(8)).
 */
import { existsSync } from 'node:fs';
import type { IpFamily } from '../address.ts';
import { compareEntries, type Difference, type Entry } from './difference.ts';
import { MARK_MASK, RETURN_MARK } from './rules.ts';
import type { Tools } from './tools.ts';

export interface Place {
  readonly tools: Tools;
  readonly namespaceFd: number;
}

/** Families of this kernel: what is ours is looked for in all of them, whatever the plan wants now. */
export function kernelFamilies(): IpFamily[] {
  return existsSync('/proc/sys/net/ipv6') ? [4, 6] : [4];
}

/** Only what is missing is added and only what is ours and too much is deleted. */
export async function installRouting(place: Place, families: readonly IpFamily[]): Promise<void> {
  for (const family of kernelFamilies()) {
    await change(place, family, await compareFamily(place, family, families.includes(family)));
  }
}

export function removeRouting(place: Place): Promise<void> {
  return installRouting(place, []);
}

export async function verifyRouting(place: Place, families: readonly IpFamily[]): Promise<Difference[]> {
  const compared = kernelFamilies().map((family) => compareFamily(place, family, families.includes(family)));
  return (await Promise.all(compared)).flat();
}

const RULE_PREFERENCE = 32_764;
const ROUTE_TABLE = 100;
const MARK = `0x${RETURN_MARK.toString(16)}`;
const MASK = `0x${MARK_MASK.toString(16)}`;
const ANYWHERE: Readonly<Record<IpFamily, string>> = { 4: '0.0.0.0/0', 6: '::/0' };

/** RTN_LOCAL, by name or as the number that `-N` shows besides those of tables. */
const LOCAL = ['local', '2'];

const ruleText = (preference: number): string => `pref ${preference} fwmark ${MARK}/${MASK} lookup ${ROUTE_TABLE}`;
const routeText = (family: IpFamily): string => `local ${ANYWHERE[family]} dev lo table ${ROUTE_TABLE}`;

async function compareFamily(place: Place, family: IpFamily, isWanted: boolean): Promise<Difference[]> {
  const live = await readFamily(place, family);
  if (!isWanted) return compareEntries([], live);
  const rule = { where: rulesOf(family), what: ruleText(RULE_PREFERENCE) };
  const route = { where: routesOf(family), what: routeText(family) };
  const differences = compareEntries([rule, route], live);
  const lacksRoute = differences.some(({ is, where }) => is === 'missing' && where === route.where);
  if (family === 4 || !lacksRoute || !(await loopbackLacksIpv6(place))) return differences;
  return compareEntries([rule], live);
}

async function readFamily({ tools, namespaceFd }: Place, family: IpFamily): Promise<Entry[]> {
  // Routes last: a table that nobody used yet has none, says iproute2 by failing.
  const input = `rule show\nroute show table ${ROUTE_TABLE}\n`;
  const call = { tool: 'ip', args: ['-N', '-j', `-${family}`, '-batch', '-'], input, namespaceFd };
  const { status, stdout, stderr } = await tools.attempt(call);
  const lines = (status === 0 || stderr.includes('FIB table does not exist') ? stdout : await tools.run(call)).split(
    '\n',
  );
  const [rules, routes]: [readonly IpRule[], readonly IpRoute[]] = [parse(lines[0]), parse(lines[1])];
  const ourRules = rules.filter(({ table, fwmark, fwmask }) => {
    return table === String(ROUTE_TABLE) && fwmark === MARK && fwmask === MASK;
  });
  const ourRoutes = routes.filter(
    ({ type = '', dst, dev }) => LOCAL.includes(type) && dst === 'default' && dev === 'lo',
  );
  return [
    ...ourRules.map(({ priority }) => ({ where: rulesOf(family), what: ruleText(priority) })),
    ...ourRoutes.map(() => ({ where: routesOf(family), what: routeText(family) })),
  ];
}

/** iproute2 prints a list on a line, or nothing; `[` alone when it failed on the way. */
function parse<T>(line = ''): readonly T[] {
  return line.endsWith(']') ? JSON.parse(line) : [];
}

interface IpRule {
  readonly priority: number;
  readonly table?: string;
  readonly fwmark?: string;
  readonly fwmask?: string;
}

interface IpRoute {
  readonly type?: string;
  readonly dst: string;
  readonly dev?: string;
}

async function change(place: Place, family: IpFamily, differences: readonly Difference[]): Promise<void> {
  const lines = differences.map(({ is, where, what }) => {
    return `${where === rulesOf(family) ? 'rule' : 'route'} ${is === 'missing' ? 'add' : 'del'} ${what}`;
  });
  if (lines.length === 0) return;
  const { tools, namespaceFd } = place;
  await tools.run({ tool: 'ip', args: [`-${family}`, '-batch', '-'], input: `${lines.join('\n')}\n`, namespaceFd });
}

async function loopbackLacksIpv6({ tools, namespaceFd }: Place): Promise<boolean> {
  const args = ['/proc/sys/net/ipv6/conf/lo/disable_ipv6'];
  return (await tools.run({ tool: 'cat', args, namespaceFd })).trim() === '1';
}

function rulesOf(family: IpFamily): string {
  return `ip -${family} rule`;
}

function routesOf(family: IpFamily): string {
  return `ip -${family} route`;
}
