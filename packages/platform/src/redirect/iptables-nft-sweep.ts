/**
 * iptables over nf_tables makes a table and its standard chains when they are first used, and never deletes them. Those
 * that are empty do nothing, and whoever needs them makes them again, so that they go with our rules.
 */
import { TABLES } from './iptables.ts';
import type { Place } from './routing.ts';

export interface SweptFamily {
  /** As nft calls it. */
  readonly family: 'ip' | 'ip6';
  /** `iptables-restore`. */
  readonly restore: string;
}

/** Does nothing for the legacy kind, or where there is no nft to tell and to delete tables. */
export async function sweepEmptyTables(place: Place, families: readonly SweptFamily[]): Promise<void> {
  if (!place.tools.has('nft')) return;
  for (const each of families) await sweepFamily(place, each);
}

async function sweepFamily({ tools, namespaceFd }: Place, { family, restore }: SweptFamily): Promise<void> {
  const version = await tools.run({ tool: restore, args: ['--version'] });
  if (!version.includes('nf_tables')) return;
  const listing = await tools.run({ tool: 'nft', args: ['-j', 'list', 'ruleset', family], namespaceFd });
  const { chains, tables } = emptyIn(JSON.parse(listing));
  if (chains.size === 0) return;
  const blocks = [...chains].map(
    ([table, names]) => `*${table}\n${names.map((name) => `-X ${name}\n`).join('')}COMMIT\n`,
  );
  // iptables refuses to delete a chain that has got a rule meanwhile, where nft would delete the rule with it.
  const swept = await tools.attempt({ tool: restore, args: ['--noflush'], input: blocks.join(''), namespaceFd });
  if (swept.status !== 0 || tables.length === 0) return;
  const input = tables.map((table) => `delete table ${family} ${table}\n`).join('');
  await tools.run({ tool: 'nft', args: ['-f', '-'], input, namespaceFd });
}

interface NftListing {
  readonly nftables: readonly Readonly<Record<string, NftObject>>[];
}

interface NftObject {
  readonly name?: string;
  readonly table?: string;
  readonly chain?: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** Chains that hold nothing, by table, and the tables that hold nothing else. */
export function emptyIn({ nftables }: NftListing): { chains: Map<string, string[]>; tables: string[] } {
  const chains = new Map<string, string[]>();
  const tables: string[] = [];
  for (const name of TABLES) {
    const objects = nftables.flatMap((each) => Object.entries(each)).filter(([, { table }]) => table === name);
    const used = new Set(objects.map(([, { chain }]) => chain));
    const empty = objects.filter(([kind, { name, hook, policy }]) => {
      return kind === 'chain' && hook !== undefined && policy === 'accept' && !used.has(name);
    });
    if (empty.length === 0) continue;
    chains.set(
      name,
      empty.map(([, object]) => object.name ?? ''),
    );
    if (empty.length === objects.length) tables.push(name);
  }
  return { chains, tables };
}
