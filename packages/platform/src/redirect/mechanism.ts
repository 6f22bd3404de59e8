/** One way to put the rules of a plan into the kernel. Routing is the same for all of them and not their concern. */
import type { Entry } from './difference.ts';
import type { Place } from './routing.ts';
import type { RedirectPlan } from './rules.ts';

export interface Mechanism {
  readonly name: 'nftables' | 'iptables';
  /** From whatever there is of the plan's owner to the plan. Doing it again changes nothing. */
  apply(place: Place, plan: RedirectPlan): Promise<void>;
  /** Leaves nothing of the plan's owner. */
  clear(place: Place, plan: RedirectPlan): Promise<void>;
  /** What there is of the plan's owner, in the tool's words. */
  read(place: Place, plan: RedirectPlan): Promise<Entry[]>;
  /** What there would be, in the same words: tools write rules their own way, which changes between versions. */
  wanted(plan: RedirectPlan): Promise<Entry[]>;
}
