/** CPU and memory of processes and everything they started, from /proc. */
import { readFileSync } from 'node:fs';

/** Of /proc/<pid>/stat; fixed for user space on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Memory {
  readonly rssBytes: number;
  readonly pssBytes: number;
}

/** User and system time so far, with children alive and children already waited for. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of withDescendants(pids)) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // After the name, which may hold anything, come field 3 (state) and so on: 14 to 17 are the four times.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    for (let field = 14; field <= 17; field++) ticks += Number(fields[field - 3]);
  }
  return ticks / TICKS_PER_SECOND;
}

export function memory(pids: readonly number[]): Memory {
  let rss = 0;
  let pss = 0;
  for (const pid of withDescendants(pids)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    rss += kilobytes(rollup, 'Rss');
    pss += kilobytes(rollup, 'Pss');
  }
  return { rssBytes: rss * 1024, pssBytes: pss * 1024 };
}

function kilobytes(rollup: string, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup);
  if (found === null) throw new Error(`smaps_rollup has no ${field}`);
  return Number(found[1]);
}

function withDescendants(pids: readonly number[]): number[] {
  const all = [...pids];
  for (const pid of all) {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (children !== '') for (const child of children.split(' ')) all.push(Number(child));
  }
  return all;
}
