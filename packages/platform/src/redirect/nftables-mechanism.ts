/** Plans carried out by nft(8). What is wanted is read from a namespace of its own, where the same nft loaded it. */
import type { Entry } from './difference.ts';
import type { Mechanism } from './mechanism.ts';
import { renderNftables, renderNftablesRemoval } from './nftables.ts';
import type { Place } from './routing.ts';
import type { RedirectPlan } from './rules.ts';
import type { Tools } from './tools.ts';

export function nftablesMechanism(tools: Tools): Mechanism {
  tools.require('nft', 'unshare');
  return {
    name: 'nftables',
    async apply({ namespaceFd }, plan) {
      await tools.run({ tool: 'nft', args: ['-f', '-'], input: renderNftables(plan), namespaceFd });
    },
    async clear({ namespaceFd }, plan) {
      await tools.run({ tool: 'nft', args: ['-f', '-'], input: renderNftablesRemoval(plan.owner), namespaceFd });
    },
    read: (place, plan) => readTable(place, plan.owner),
    async wanted(plan) {
      const script = `nft -f - && nft ${listing(plan.owner).join(' ')}`;
      const args = ['--net', '--', 'sh', '-c', script];
      return parseNftTable(await tools.run({ tool: 'unshare', args, input: renderNftables(plan) }));
    },
  };
}

async function readTable({ tools, namespaceFd }: Place, owner: RedirectPlan['owner']): Promise<Entry[]> {
  const call = { tool: 'nft', args: listing(owner), namespaceFd };
  const { status, stdout, stderr } = await tools.attempt(call);
  if (status === 0) return parseNftTable(stdout);
  if (stderr.startsWith('Error: No such file or directory')) return [];
  return parseNftTable(await tools.run(call));
}

/** Numbers instead of names, and no counts. */
function listing(owner: RedirectPlan['owner']): string[] {
  return ['-n', '-s', 'list', 'table', 'inet', owner];
}

/** The blocks of one table: chains with their rules in order, sets with their elements. */
export function parseNftTable(text: string): Entry[] {
  const entries: Entry[] = [];
  let table = '';
  let block = '';
  // Long lists of elements are broken after a comma.
  for (const line of text
    .replace(/,\n\s+/g, ', ')
    .split('\n')
    .map((each) => each.trim())) {
    const opening = /^(table|chain|set|map) (.*) \{$/.exec(line);
    if (opening?.[1] === 'table') table = `nft ${opening[2]}`;
    else if (opening !== null) {
      block = `${table} ${opening[2]}`;
      entries.push({ where: table, what: `${opening[1]} ${opening[2]}` });
    } else if (line.startsWith('elements = {')) {
      for (const element of line.slice('elements = {'.length, -1).split(',')) {
        entries.push({ where: block, what: element.trim() });
      }
    } else if (line !== '' && line !== '}') entries.push({ where: block, what: line });
  }
  return entries;
}
