/** A result with the settings that it was made under, kept to compare with. Nothing in it tells whose machine it was. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Plan, Results } from './run.ts';
import { type Spread, spread } from './statistics.ts';

const BASELINE = join(import.meta.dirname, 'baseline.json');
const OUT = join(import.meta.dirname, 'out');

export interface Settings {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly node: string;
  readonly rounds: number;
  readonly quick: boolean;
}

/** Without NaN, which JSON does not know: a figure that could not be had is not there. */
export interface Saved {
  readonly settings: Settings;
  /** By load, subject and figure. */
  readonly figures: Record<string, Record<string, Record<string, Spread>>>;
}

export function summarize(plan: Plan, results: Results): Saved {
  const figures: Saved['figures'] = {};
  for (const [load, row] of Object.entries(results)) {
    const subjects: Record<string, Record<string, Spread>> = {};
    for (const [subject, cell] of Object.entries(row)) {
      const spreads: Record<string, Spread> = {};
      for (const [figure, values] of Object.entries(cell.values)) {
        const figures = spread(values);
        if (Number.isFinite(figures.median)) spreads[figure] = figures;
      }
      if (Object.keys(spreads).length > 0) subjects[subject] = spreads;
    }
    figures[load] = subjects;
  }
  return { settings: currentSettings(plan), figures };
}

export function loadBaseline(): Saved | null {
  return existsSync(BASELINE) ? (JSON.parse(readFileSync(BASELINE, 'utf8')) as Saved) : null;
}

export function saveBaseline(saved: Saved): string {
  writeFileSync(BASELINE, `${JSON.stringify(saved, rounded, 2)}\n`);
  return BASELINE;
}

export function saveResult(result: unknown): string {
  mkdirSync(OUT, { recursive: true });
  const path = join(OUT, `${new Date().toISOString().replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify(result, rounded, 2)}\n`);
  return path;
}

/** Settings in which two results differ, for a person: with any, only ratios compare. */
export function settingsThatDiffer(a: Settings, b: Settings): string[] {
  const keys = ['kernel', 'cpu', 'cores', 'memoryGB', 'node', 'quick'] as const;
  return keys.filter((key) => a[key] !== b[key]).map((key) => `${key} ${b[key]}, now ${a[key]}`);
}

function currentSettings(plan: Plan): Settings {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    node: process.version,
    rounds: plan.rounds,
    quick: plan.quick,
  };
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(5)) : value;
}
