import assert from 'node:assert/strict';
import test from 'node:test';
import { type Saved, settingsThatDiffer, summarize } from './baseline.ts';
import { selectLoads } from './loads.ts';
import { report } from './report.ts';
import type { Cell, Plan, Results } from './run.ts';
import type { Subject } from './subjects/subject.ts';

const plan: Plan = {
  subjects: ['no-mesh', 'ours', 'ztunnel'].map((name) => ({ name }) as Subject),
  loads: selectLoads(['bulk-up-1']),
  rounds: 2,
  quick: false,
  openFiles: 20_000,
};

function cell(gbitPerSecond: number[], other: Partial<Cell> = {}): Cell {
  return { values: { gbitPerSecond }, failures: [], notRun: null, ...other };
}

function results(ztunnel: Cell): Results {
  return { 'bulk-up-1': { 'no-mesh': cell([20, 40]), ours: cell([5, 10]), ztunnel } };
}

function rowOf(table: string, label: string): string[] {
  const line = table.split('\n').find((row) => row.trim().startsWith(label)) ?? '';
  return line.trim().split(/ {2,}/).slice(1);
}

test('a row has medians with their spread, then ratios of runs made side by side', () => {
  const table = report(plan, results(cell([10, 5])), null);
  assert.deepEqual(rowOf(table, 'Gbit/s'), [
    '30.00 (20.00-40.00)',
    '7.50 (5.00-10.00)',
    '7.50 (5.00-10.00)',
    '0.25',
    '1.25',
  ]);
});

test('a failed round is counted in the heading of its load and explained below', () => {
  const table = report(plan, results(cell([Number.NaN, 5], { failures: ['it broke'] })), null);
  assert.deepEqual(rowOf(table, 'bulk up, 1 stream'), ['1 failed']);
  assert.equal(rowOf(table, 'Gbit/s')[2], '5.00');
  assert.match(table, /ztunnel, bulk-up-1: failed: it broke/);
});

test('a subject that did not run has no column, only its reason', () => {
  const table = report(plan, results(cell([], { notRun: 'set ZTUNNEL_BIN' })), null);
  assert.equal(rowOf(table, 'Gbit/s').length, 3);
  assert.match(table, /^ztunnel: not run: set ZTUNNEL_BIN$/m);
});

test('a baseline read back from JSON gives the change, and names what differs in its settings', () => {
  const saved = JSON.parse(JSON.stringify(summarize(plan, results(cell([1, 1]))))) as Saved;
  const faster: Results = { 'bulk-up-1': { ...results(cell([1, 1]))['bulk-up-1'], ours: cell([15, 15]) } };
  assert.equal(rowOf(report(plan, faster, saved), 'Gbit/s').at(-1), '2.00');
  assert.deepEqual(settingsThatDiffer(saved.settings, saved.settings), []);
  assert.deepEqual(settingsThatDiffer({ ...saved.settings, node: 'v99' }, { ...saved.settings, node: 'v98' }), [
    'node v98, now v99',
  ]);
});
