/** What a `*-save` prints (iptables-save(8)), narrowed to one owner. */
import type { Entry } from './difference.ts';
import { chainPrefix, type LiveRules, type LiveTable } from './iptables.ts';
import type { RedirectPlan } from './rules.ts';

export function parseSave(text: string, owner: RedirectPlan['owner']): LiveRules {
  const prefix = chainPrefix(owner);
  const leadsToUs = new RegExp(` -[jg] ${prefix}\\w+$`);
  const tables = new Map<string, Record<keyof LiveTable, string[]>>();
  let name = '';
  const put = (kind: keyof LiveTable, what: string): void => {
    const table = tables.get(name) ?? { chains: [], jumps: [], rules: [] };
    table[kind].push(what);
    tables.set(name, table);
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) name = line.slice(1);
    else if (line.startsWith(`:${prefix}`)) put('chains', line.slice(1).split(' ', 1)[0] as string);
    else if (line.startsWith(`-A ${prefix}`)) put('rules', line);
    else if (line.startsWith('-A ') && leadsToUs.test(line)) put('jumps', line);
  }
  return { tables };
}

/** The order of our jumps among the rules of others is theirs to choose; that of our own rules is not. */
export function liveEntries(tool: string, live: LiveRules): Entry[] {
  return [...live.tables].flatMap(([name, { chains, jumps, rules }]) => {
    const where = `${tool} ${name}`;
    return [
      ...chains.toSorted().map((chain) => ({ where, what: `chain ${chain}` })),
      ...[...jumps, ...rules].map((rule) => ({ where: `${where} ${rule.split(' ', 2)[1]}`, what: rule })),
    ];
  });
}
