/** Sets of addresses for iptables: ipset(8), whose sets belong to the network namespace. */
import type { Entry } from './difference.ts';
import type { Place } from './routing.ts';
import type { AddressSet, RedirectPlan } from './rules.ts';

/** Fills a second set and swaps the two, so that no address is out for a moment. */
export function renderSets(sets: readonly AddressSet[]): string {
  return sets
    .flatMap((set) => {
      const next = `${set.name}_next`;
      return [
        renderSetHeader(set),
        renderSetHeader({ ...set, name: next }),
        `flush ${next}`,
        ...set.addresses.map((address) => `add ${next} ${address} -exist`),
        `swap ${set.name} ${next}`,
        `destroy ${next}`,
        '',
      ];
    })
    .join('\n');
}

export function renderSetHeader({ name, family }: AddressSet): string {
  return `create ${name} hash:ip family inet${family === 6 ? '6' : ''} -exist`;
}

export async function writeSets({ tools, namespaceFd }: Place, sets: readonly AddressSet[]): Promise<void> {
  if (sets.length === 0) return;
  await tools.run({ tool: 'ipset', args: ['restore'], input: renderSets(sets), namespaceFd });
}

/** Rules that use them must have gone before. */
export async function removeSets(
  place: Place,
  owner: RedirectPlan['owner'],
  kept: readonly AddressSet[],
): Promise<void> {
  const { tools, namespaceFd } = place;
  const names = (await tools.run({ tool: 'ipset', args: ['list', '-n'], namespaceFd })).split('\n');
  const gone = names.filter((name) => name.startsWith(`${owner}_`) && !kept.some((set) => set.name === name));
  if (gone.length === 0) return;
  const input = gone.map((name) => `destroy ${name}\n`).join('');
  await tools.run({ tool: 'ipset', args: ['restore'], input, namespaceFd });
}

export async function readSets({ tools, namespaceFd }: Place, owner: RedirectPlan['owner']): Promise<Entry[]> {
  const text = await tools.run({ tool: 'ipset', args: ['save'], namespaceFd });
  const entries = text.split('\n').flatMap((line): Entry[] => {
    const [verb, name = '', value = ''] = line.split(' ');
    if (!name.startsWith(`${owner}_`)) return [];
    return [verb === 'create' ? { where: 'ipset', what: name } : { where: `ipset ${name}`, what: value }];
  });
  return sorted(entries);
}

export function wantedSets(sets: readonly AddressSet[]): Entry[] {
  return sorted(
    sets.flatMap(({ name, addresses }) => [
      { where: 'ipset', what: name },
      ...addresses.map((what) => ({ where: `ipset ${name}`, what })),
    ]),
  );
}

/** A set has no order. */
function sorted(entries: Entry[]): Entry[] {
  return entries.sort((a, b) => (a.what < b.what ? -1 : a.what > b.what ? 1 : 0));
}
