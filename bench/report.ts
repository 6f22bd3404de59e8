/** The table: a row per figure, a column per subject, then how the subject of interest compares with the others. */
import type { Saved } from './baseline.ts';
import type { Figure } from './loads.ts';
import type { Cell, Plan, Results } from './run.ts';
import { pairedRatio, spread } from './statistics.ts';

const NOTHING = '-';

export function report(plan: Plan, results: Results, baseline: Saved | null): string {
  const names = plan.subjects.map((subject) => subject.name).filter((name) => ran(results, name));
  const pairs = comparisons(names);
  const focuses = [...new Set(pairs.map(([focus]) => focus))];
  const heading = ['', ...names, ...pairs.map(([focus, other]) => `${focus} / ${other}`)];
  if (baseline !== null) heading.push(...focuses.map((focus) => `${focus} / baseline`));
  const rows: string[][] = [heading];
  for (const load of plan.loads) {
    const row = results[load.name] as Record<string, Cell>;
    const anyFailed = names.some((name) => (row[name]?.failures.length ?? 0) > 0);
    rows.push(anyFailed ? [load.title, ...names.map((name) => failuresText(row[name]))] : [load.title]);
    for (const figure of load.figures) {
      const cells = names.map((name) => valueText(row[name], figure));
      if (cells.every((cell) => cell === NOTHING)) continue;
      const ratios = pairs.map(([focus, other]) =>
        ratioText(pairedRatio(values(row[focus], figure), values(row[other], figure))),
      );
      const before = (focus: string) => baseline?.figures[load.name]?.[focus]?.[figure.key]?.median ?? Number.NaN;
      const change =
        baseline === null
          ? []
          : focuses.map((focus) => ratioText(spread(values(row[focus], figure)).median / before(focus)));
      rows.push([`  ${figure.label} (${figure.better} is better)`, ...cells, ...ratios, ...change]);
    }
  }
  return [align(rows), ...notes(plan, results)].join('\n');
}

/** Ours, in each of its forms, with every other; without ours, the first that is not the bare network. */
function comparisons(names: readonly string[]): readonly (readonly [string, string])[] {
  const ours = names.filter((name) => name.startsWith('ours'));
  const focuses = ours.length > 0 ? ours : names.filter((name) => name !== 'no-mesh').slice(0, 1);
  const others = names.filter((name) => !focuses.includes(name));
  return focuses.flatMap((focus) => others.map((other) => [focus, other] as const));
}

function ran(results: Results, name: string): boolean {
  return Object.values(results).some((row) => row[name]?.notRun === null);
}

function values(cell: Cell | undefined, figure: Figure): readonly number[] {
  return cell?.values[figure.key] ?? [];
}

function valueText(cell: Cell | undefined, figure: Figure): string {
  const { median, min, max } = spread(values(cell, figure));
  if (Number.isNaN(median)) return NOTHING;
  const text = (value: number): string => value.toFixed(figure.digits);
  return min === max ? text(median) : `${text(median)} (${text(min)}-${text(max)})`;
}

function failuresText(cell: Cell | undefined): string {
  const failed = cell?.failures.length ?? 0;
  return failed === 0 ? '' : `${failed} failed`;
}

function ratioText(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toFixed(2) : NOTHING;
}

/** What is not in the table, and why. */
function notes(plan: Plan, results: Results): string[] {
  const lines = new Set<string>();
  for (const { name } of plan.subjects) {
    for (const load of plan.loads) {
      const cell = results[load.name]?.[name] as Cell;
      const all = plan.loads.every((other) => results[other.name]?.[name]?.notRun !== null);
      if (cell.notRun !== null) lines.add(`${name}${all ? '' : `, ${load.name}`}: not run: ${cell.notRun}`);
      for (const failure of cell.failures) lines.add(`${name}, ${load.name}: failed: ${failure}`);
    }
  }
  if (plan.quick) lines.add('quick: these figures prove that the bench works and nothing else');
  return lines.size === 0 ? [] : ['', ...lines];
}

function align(rows: readonly string[][]): string {
  const widths: number[] = [];
  for (const row of rows) {
    if (row.length > 1) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}
