/**
 * The interleaving: in each round every load runs against subject after subject, so that what slows the machine for a
 * while slows all of them. Each round starts the subjects anew and another one first.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child, Children } from './children.ts';
import { DESCRIPTORS_SPARE, LOAD_TIMEOUT_MS, QUICK_SETTLE_MS, SETTLE_MS, TARGET_IP } from './limits.ts';
import type { Figures, Load, LoadRequest } from './load/request.ts';
import type { TargetPorts } from './load/target-protocol.ts';
import type { NamedLoad } from './loads.ts';
import { type Memory, memory } from './process-usage.ts';
import { type RunningSubject, START_TIMEOUT_MS, type Subject } from './subjects/subject.ts';

export interface Plan {
  readonly subjects: readonly Subject[];
  readonly loads: readonly NamedLoad[];
  readonly rounds: number;
  readonly quick: boolean;
  /** Limit of descriptors that every process started from here inherits. */
  readonly openFiles: number;
}

/** Of one load against one subject: a value per round and figure, NaN where a round failed, or why there is none. */
export interface Cell {
  readonly values: Record<string, number[]>;
  readonly failures: string[];
  notRun: string | null;
}

/** By load, then by subject. */
export type Results = Record<string, Record<string, Cell>>;

interface Target {
  readonly process: Child;
  readonly ports: TargetPorts;
}

export async function runBench(plan: Plan, children: Children, progress: (text: string) => void): Promise<Results> {
  const results: Results = {};
  for (const load of plan.loads) {
    const row: Record<string, Cell> = {};
    for (const subject of plan.subjects) {
      const notRun = subject.unavailable(load.unpooled);
      row[subject.name] = { values: {}, failures: [], notRun };
    }
    results[load.name] = row;
  }
  const target = await startTarget(children);
  for (let round = 0; round < plan.rounds; round++) {
    const turn = round % plan.subjects.length;
    const subjects = [...plan.subjects.slice(turn), ...plan.subjects.slice(0, turn)];
    await runRound({ ...plan, subjects }, round, { children, target, results, progress });
  }
  await target.process.stop();
  return results;
}

interface Bench {
  readonly children: Children;
  readonly target: Target;
  readonly results: Results;
  readonly progress: (text: string) => void;
}

async function runRound(plan: Plan, round: number, bench: Bench): Promise<void> {
  const shared = new Map<Subject, RunningSubject>();
  for (const load of plan.loads) {
    // Memory hardly varies, and opening 10,000 connections takes long: once is enough.
    if (load.full.kind === 'idle' && round > 0) continue;
    for (const subject of plan.subjects) {
      const cell = bench.results[load.name]?.[subject.name] as Cell;
      if (cell.notRun !== null) continue;
      bench.progress(`round ${round + 1}/${plan.rounds}  ${load.name}  ${subject.name}`);
      // Memory is read on processes that have done nothing else.
      const alone = load.full.kind === 'idle';
      let running: RunningSubject | undefined;
      try {
        if (alone) {
          await shared.get(subject)?.stop();
          shared.delete(subject);
        }
        running = shared.get(subject);
        running ??= await subject.start(bench.children, { unpooled: load.unpooled, split: alone });
        if (!alone) shared.set(subject, running);
        keep(cell, load, await runLoad(sized(load, plan, running), running, bench, plan.quick));
      } catch (error) {
        keep(cell, load, null);
        const complaint = running?.complaint() ?? '';
        const message = error instanceof Error ? error.message : String(error);
        cell.failures.push(complaint === '' ? message : `${message} (it says: ${complaint})`);
        bench.progress(`  failed: ${cell.failures.at(-1)}`);
        // Whatever state it is in now, the next load gets a fresh one.
        if (running !== undefined && !alone) await running.stop();
        shared.delete(subject);
      } finally {
        if (alone) await running?.stop();
      }
    }
  }
  for (const running of shared.values()) await running.stop();
}

/** The load as this run can bear it: as many idle connections as there are descriptors for. */
function sized(named: NamedLoad, plan: Plan, subject: RunningSubject): Load {
  const load = plan.quick ? named.quick : named.full;
  if (load.kind !== 'idle') return load;
  const fit = Math.floor((plan.openFiles - DESCRIPTORS_SPARE) / subject.descriptorsEach);
  return { kind: 'idle', levels: load.levels.map((level) => Math.min(level, fit)) };
}

function keep(cell: Cell, load: NamedLoad, figures: Figures | null): void {
  for (const { key } of [...load.figures, { key: 'loadCores' }]) {
    cell.values[key] ??= [];
    cell.values[key].push(figures?.[key] ?? Number.NaN);
  }
}

async function startTarget(children: Children): Promise<Target> {
  const child = children.start(process.execPath, [join(import.meta.dirname, 'load/server.ts'), TARGET_IP]);
  return { process: child, ports: JSON.parse(await child.line(START_TIMEOUT_MS)) as TargetPorts };
}

async function runLoad(load: Load, subject: RunningSubject, bench: Bench, quick: boolean): Promise<Figures> {
  const request: LoadRequest = {
    load,
    targetIp: TARGET_IP,
    targetPorts: bench.target.ports,
    entry: subject.entry,
    subjectPids: subject.pids,
    loadPids: [bench.target.process.pid],
  };
  const client = bench.children.start(process.execPath, [
    join(import.meta.dirname, 'load/client.ts'),
    JSON.stringify(request),
  ]);
  try {
    if (load.kind === 'idle') return await readMemoryAtLevels(client, load.levels, subject, quick);
    const figures = outcome(await client.line(LOAD_TIMEOUT_MS)).figures as Figures;
    return subject.pids.length > 0 ? figures : withoutSubjectCpu(figures);
  } finally {
    await client.stop();
  }
}

interface Outcome {
  readonly figures?: Figures;
  readonly reached?: string;
}

function outcome(line: string): Outcome {
  const parsed = JSON.parse(line) as Outcome & { readonly failed?: string };
  if (parsed.failed !== undefined) throw new Error(parsed.failed);
  return parsed;
}

async function readMemoryAtLevels(
  client: Child,
  levels: readonly number[],
  subject: RunningSubject,
  quick: boolean,
): Promise<Figures> {
  // Per process, because the two sides of HBONE are told apart where they are apart.
  const readings: Memory[][] = [];
  for (let stop = 0; stop <= levels.length; stop++) {
    outcome(await client.line(LOAD_TIMEOUT_MS));
    await sleep(quick ? QUICK_SETTLE_MS : SETTLE_MS);
    readings.push(subject.pids.map((pid) => memory([pid])));
    client.tell('\n');
  }
  outcome(await client.line(LOAD_TIMEOUT_MS));
  return memoryFigures(readings, levels.at(-1) as number, subject);
}

function memoryFigures(readings: readonly Memory[][], connections: number, subject: RunningSubject): Figures {
  if (subject.pids.length === 0) return {};
  const figures: Record<string, number> = { connections };
  const most = readings.length - 2;
  for (let level = 0; level <= most; level++) {
    figures[`rssMB${level}`] = total(readings[level] as Memory[], 'rssBytes') / 1e6;
    figures[`pssMB${level}`] = total(readings[level] as Memory[], 'pssBytes') / 1e6;
  }
  figures.rssMBClosed = total(readings[most + 1] as Memory[], 'rssBytes') / 1e6;
  const grownKB = (pids: readonly number[]): number => {
    const of = (level: number): number => pids.reduce((sum, i) => sum + (readings[level]?.[i]?.rssBytes ?? 0), 0);
    return (of(most) - of(0)) / connections / 1000;
  };
  figures.kBEach = grownKB(subject.pids.map((_, i) => i));
  // Two ends per connection, wherever they are.
  figures.kBEndpoint = figures.kBEach / 2;
  if (subject.split) {
    figures.kBClient = grownKB([0]);
    figures.kBServer = grownKB([1]);
  }
  return figures;
}

function total(readings: readonly Memory[], field: keyof Memory): number {
  return readings.reduce((sum, reading) => sum + reading[field], 0);
}

/** No process, no CPU: not zero, but nothing to say. */
function withoutSubjectCpu(figures: Figures): Figures {
  return { ...figures, cpuSecondsPerGB: Number.NaN, cpuUsEach: Number.NaN };
}
