/**
 * Plans carried out by iptables-restore and ip6tables-restore (iptables-extensions(8)), with sets of ipset(8). What is
 * wanted is read from a namespace of its own, where the same tools loaded it.
 */
import type { IpFamily } from '../address.ts';
import type { Entry } from './difference.ts';
import { readSets, removeSets, renderSetHeader, wantedSets, writeSets } from './ipset.ts';
import { NO_LIVE_RULES, renderIptables, renderIptablesRemoval } from './iptables.ts';
import { sweepEmptyTables } from './iptables-nft-sweep.ts';
import { liveEntries, parseSave } from './iptables-save.ts';
import { XTABLES_LOCK_WAIT_S } from './limits.ts';
import type { Mechanism } from './mechanism.ts';
import { kernelFamilies, type Place } from './routing.ts';
import type { RedirectPlan } from './rules.ts';
import type { Tools } from './tools.ts';

/** Which kernel interface iptables uses; `default` is what the system has chosen for the plain name. */
export type IptablesFlavour = 'default' | 'nft' | 'legacy';

export function iptablesMechanism(tools: Tools, flavour: IptablesFlavour): Mechanism {
  const commands = commandsOf(flavour);
  tools.require(...[4, 6].flatMap((family) => Object.values(commands[family as IpFamily])), 'unshare');
  return {
    name: 'iptables',
    async apply(place, plan) {
      await writeSets(place, plan.sets);
      for (const family of kernelFamilies()) {
        const wanted = plan.families.includes(family) ? plan : { ...plan, rules: [] };
        const live = parseSave(await save(place, commands[family]), plan.owner);
        await restore(place, commands[family], renderIptables(wanted, family, live));
      }
      if (plan.sets.length > 0) await removeSets(place, plan.owner, plan.sets);
    },
    async clear(place, plan) {
      for (const family of kernelFamilies()) {
        const live = parseSave(await save(place, commands[family]), plan.owner);
        await restore(place, commands[family], renderIptablesRemoval(plan, family, live));
      }
      if (plan.sets.length > 0) await removeSets(place, plan.owner, []);
      await sweepEmptyTables(place, [
        { family: 'ip', restore: commands[4].restore },
        { family: 'ip6', restore: commands[6].restore },
      ]);
    },
    async read(place, plan) {
      const entries = plan.sets.length > 0 ? await readSets(place, plan.owner) : [];
      for (const family of kernelFamilies()) {
        const live = parseSave(await save(place, commands[family]), plan.owner);
        entries.push(...liveEntries(nameOf(family), live));
      }
      return entries;
    },
    async wanted(plan) {
      const entries = wantedSets(plan.sets);
      for (const family of kernelFamilies()) {
        if (!plan.families.includes(family)) continue;
        entries.push(...(await wantedEntries(tools, commands[family], plan, family)));
      }
      return entries;
    },
  };
}

interface Commands {
  readonly save: string;
  readonly restore: string;
}

function commandsOf(flavour: IptablesFlavour): Readonly<Record<IpFamily, Commands>> {
  const suffix = flavour === 'default' ? '' : `-${flavour}`;
  const of = (family: IpFamily): Commands => ({
    save: `${nameOf(family)}${suffix}-save`,
    restore: `${nameOf(family)}${suffix}-restore`,
  });
  return { 4: of(4), 6: of(6) };
}

function nameOf(family: IpFamily): string {
  return family === 4 ? 'iptables' : 'ip6tables';
}

function save({ tools, namespaceFd }: Place, { save: tool }: Commands): Promise<string> {
  return tools.run({ tool, args: [], namespaceFd });
}

async function restore({ tools, namespaceFd }: Place, { restore: tool }: Commands, input: string): Promise<void> {
  if (input === '') return;
  await tools.run({ tool, args: ['--noflush', `--wait=${XTABLES_LOCK_WAIT_S}`], input, namespaceFd });
}

/** The rules name sets, which must be there for them; their elements do not show in rules. */
async function wantedEntries(tools: Tools, commands: Commands, plan: RedirectPlan, family: IpFamily): Promise<Entry[]> {
  const sets = plan.sets.map((set) => `ipset ${renderSetHeader(set)} && `);
  const script = `${sets.join('')}${commands.restore} --noflush && ${commands.save}`;
  const input = renderIptables(plan, family, NO_LIVE_RULES);
  const text = await tools.run({ tool: 'unshare', args: ['--net', '--', 'sh', '-c', script], input });
  return liveEntries(nameOf(family), parseSave(text, plan.owner));
}
