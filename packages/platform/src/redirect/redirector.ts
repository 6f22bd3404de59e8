/**
 * Redirection of one namespace: a plan (rules.ts) kept in the kernel by one mechanism. Nothing is remembered between calls:
 * what is ours is told by its name, so that a new process takes over, or cleans up, what an older one left.
 */
import { AmbitError } from '@ambit/base/errors';
import { compareEntries, type Difference, type Entry } from './difference.ts';
import { type IptablesFlavour, iptablesMechanism } from './iptables-mechanism.ts';
import { PRINTED_PLANS_MAX } from './limits.ts';
import type { Mechanism } from './mechanism.ts';
import { nftablesMechanism } from './nftables-mechanism.ts';
import { installRouting, type Place, removeRouting, verifyRouting } from './routing.ts';
import type { RedirectPlan } from './rules.ts';
import { Tools } from './tools.ts';

/** Calls for one namespace follow one another; those for different ones may overlap. */
export interface Redirector {
  /** Brings the namespace to the plan from any state, also from another plan. Each table changes in one step. */
  install(): Promise<void>;
  /** What of ours is not as the plan wants it; nothing of others is told. */
  verify(): Promise<Difference[]>;
  /** Installs again where `verify` finds something, and returns what it found. */
  repair(): Promise<Difference[]>;
  /** Leaves nothing of ours and touches nothing of others. */
  remove(): Promise<void>;
}

export interface Redirection {
  readonly mechanism: Mechanism['name'];
  /** The descriptor stays the caller's and must be open during each call. */
  redirector(namespaceFd: number, plan: RedirectPlan): Redirector;
}

export interface RedirectionChoice {
  /** Without it nftables where nft is installed, else iptables. */
  readonly mechanism?: Mechanism['name'];
  readonly iptablesFlavour?: IptablesFlavour;
  readonly tools?: Tools;
}

/** Throws `REDIRECT_TOOL_MISSING` where what is needed is not installed. */
export function chooseRedirection(choice: RedirectionChoice = {}): Redirection {
  const tools = choice.tools ?? new Tools();
  tools.require('nsenter', 'ip');
  const name = choice.mechanism ?? installedMechanism(tools);
  const mechanism =
    name === 'nftables' ? nftablesMechanism(tools) : iptablesMechanism(tools, choice.iptablesFlavour ?? 'default');
  const printed = new PrintedPlans(mechanism);
  return {
    mechanism: name,
    redirector: (namespaceFd, plan) => new PlanRedirector(mechanism, printed, { tools, namespaceFd }, plan),
  };
}

class PlanRedirector implements Redirector {
  readonly #mechanism: Mechanism;
  readonly #printed: PrintedPlans;
  readonly #place: Place;
  readonly #plan: RedirectPlan;

  constructor(mechanism: Mechanism, printed: PrintedPlans, place: Place, plan: RedirectPlan) {
    this.#mechanism = mechanism;
    this.#printed = printed;
    this.#place = place;
    this.#plan = plan;
  }

  /** Routes first: without them a captured connection could not be answered. */
  async install(): Promise<void> {
    if (this.#plan.returnsMarked) await installRouting(this.#place, this.#plan.families);
    await this.#mechanism.apply(this.#place, this.#plan);
  }

  async verify(): Promise<Difference[]> {
    const [wanted, live, routing] = await Promise.all([
      this.#printed.get(this.#plan),
      this.#mechanism.read(this.#place, this.#plan),
      this.#plan.returnsMarked ? verifyRouting(this.#place, this.#plan.families) : [],
    ]);
    return [...compareEntries(wanted, live), ...routing];
  }

  async repair(): Promise<Difference[]> {
    const differences = await this.verify();
    if (differences.length > 0) await this.install();
    return differences;
  }

  async remove(): Promise<void> {
    await this.#mechanism.clear(this.#place, this.#plan);
    if (this.#plan.returnsMarked) await removeRouting(this.#place);
  }
}

/** Wanted rulesets in the tool's words, shared by all pods with the same plan. */
class PrintedPlans {
  readonly #mechanism: Mechanism;
  readonly #byPlan = new Map<string, Promise<Entry[]>>();

  constructor(mechanism: Mechanism) {
    this.#mechanism = mechanism;
  }

  get(plan: RedirectPlan): Promise<Entry[]> {
    const key = JSON.stringify(plan);
    const known = this.#byPlan.get(key);
    if (known !== undefined) return known;
    if (this.#byPlan.size >= PRINTED_PLANS_MAX) this.#byPlan.clear();
    const printed = this.#mechanism.wanted(plan);
    this.#byPlan.set(key, printed);
    // A failure is told to those who wait for it and tried again by the next.
    printed.catch(() => this.#byPlan.delete(key));
    return printed;
  }
}

function installedMechanism(tools: Tools): Mechanism['name'] {
  if (tools.has('nft')) return 'nftables';
  if (tools.has('iptables-restore')) return 'iptables';
  throw new AmbitError('REDIRECT_TOOL_MISSING', 'neither nft nor iptables-restore is installed', {
    side: 'internal',
    retry: 'never',
    hint: 'Install the package nftables (Debian, Ubuntu: "apt-get install nftables").',
  });
}
