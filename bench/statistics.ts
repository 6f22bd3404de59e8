/** The few statistics of the report. Medians, because one disturbed run must not move the figure. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A run that failed is a NaN among the values: it keeps its place (see `pairedRatio`) and does not count. */
export function spread(values: readonly number[]): Spread {
  const sorted = ascending(values);
  return { median: median(values), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Nearest rank: the smallest value that at least `share` of all values do not exceed. `sorted` ascending. */
export function percentile(sorted: Float32Array, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/**
 * Median of the ratios of runs made side by side. Steadier than the ratio of medians: what disturbed the machine
 * disturbed both. NaN where one of the two has no such run.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  const ratios: number[] = [];
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    const ratio = (ours[i] as number) / (theirs[i] as number);
    if (Number.isFinite(ratio)) ratios.push(ratio);
  }
  return median(ratios);
}

function ascending(values: readonly number[]): Float64Array {
  return Float64Array.from(values.filter(Number.isFinite)).sort();
}
