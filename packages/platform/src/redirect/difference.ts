/** What is there against what should be there, told in the words of the tool that showed it. */
export interface Difference {
  /** `moved`: all is there, but in an order that changes what the rules do. */
  readonly is: 'missing' | 'extra' | 'moved';
  /** `nft inet ambit_pod nat_output`, `ip6tables nat OUTPUT`, `ip -4 rule`. */
  readonly where: string;
  /** The rule, element or route. */
  readonly what: string;
}

/** One thing of ours, as a tool lists it. */
export type Entry = Pick<Difference, 'where' | 'what'>;

export function compareEntries(wanted: readonly Entry[], live: readonly Entry[]): Difference[] {
  const liveOf = byPlace(live);
  const wantedOf = byPlace(wanted);
  return [...new Set([...wantedOf.keys(), ...liveOf.keys()])].flatMap((where) => {
    return comparePlace(where, wantedOf.get(where) ?? [], liveOf.get(where) ?? []);
  });
}

export function describeDifference({ is, where, what }: Difference): string {
  return `${is} in ${where}: ${what}`;
}

function comparePlace(where: string, wanted: readonly string[], live: readonly string[]): Difference[] {
  const missing = without(wanted, live).map((what): Difference => ({ is: 'missing', where, what }));
  const extra = without(live, wanted).map((what): Difference => ({ is: 'extra', where, what }));
  if (missing.length > 0 || extra.length > 0) return [...missing, ...extra];
  const moved = wanted.find((what, index) => live[index] !== what);
  return moved === undefined ? [] : [{ is: 'moved', where, what: moved }];
}

/** Each of `taken` takes away one of its like. */
function without(texts: readonly string[], taken: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of taken) counts.set(text, (counts.get(text) ?? 0) + 1);
  return texts.filter((text) => {
    const count = counts.get(text) ?? 0;
    if (count > 0) counts.set(text, count - 1);
    return count === 0;
  });
}

function byPlace(entries: readonly Entry[]): Map<string, string[]> {
  const places = new Map<string, string[]>();
  for (const { where, what } of entries) {
    const texts = places.get(where);
    if (texts === undefined) places.set(where, [what]);
    else texts.push(what);
  }
  return places;
}
