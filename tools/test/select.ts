/** Which test files run, in which group. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Selection {
  /** Groups, paths or parts of paths; none means everything. */
  readonly names: readonly string[];
  /** Also `*.slow.test.ts`. */
  readonly all: boolean;
  readonly list: boolean;
}

export interface TestGroup {
  readonly name: string;
  /** Files at once. What loads the network or counts descriptors runs alone. */
  readonly concurrency: number;
  readonly files: readonly string[];
}

interface GroupRule {
  readonly name: string;
  readonly concurrency: number;
  readonly under: readonly string[];
}

const GROUPS: readonly GroupRule[] = [
  { name: 'unit', concurrency: 2, under: ['packages/', 'testkit/', 'tools/', 'scripts/', 'bench/', 'examples/'] },
  { name: 'engine', concurrency: 1, under: ['packages/net/', 'packages/platform/'] },
  { name: 'e2e', concurrency: 1, under: ['test/'] },
];
const SKIPPED_DIRECTORIES = new Set(['node_modules', '.git', '.cache', 'out']);

/** A sentence when the arguments make no sense. */
export function parseSelection(args: readonly string[], isCi: boolean): Selection | string {
  const names: string[] = [];
  let all = isCi;
  let list = false;
  for (const arg of args) {
    if (arg === '--all') all = true;
    else if (arg === '--list') list = true;
    else if (arg.startsWith('-')) return `unknown option ${arg}`;
    else names.push(arg.replace(/^\.\//, ''));
  }
  return { names, all, list };
}

export function findTestFiles(root: string, selection: Selection): TestGroup[] {
  return groupFiles(walk(root, ''), selection);
}

/** A file belongs to the last group with a directory above it; a slow one that is named runs without `--all`. */
export function groupFiles(paths: readonly string[], selection: Selection): TestGroup[] {
  const groupNames = GROUPS.map((group) => group.name);
  const wanted = (group: string, path: string): boolean => {
    const byGroup = selection.names.includes(group);
    const byPath = selection.names.some((name) => !groupNames.includes(name) && path.includes(name));
    if (selection.names.length > 0 && !byGroup && !byPath) return false;
    return !path.endsWith('.slow.test.ts') || selection.all || selection.names.includes(path);
  };
  const files = paths.filter((path) => path.endsWith('.test.ts')).toSorted();
  return GROUPS.map(({ name, concurrency }) => ({
    name,
    concurrency,
    files: files.filter((path) => groupOf(path) === name && wanted(name, path)),
  }));
}

function groupOf(path: string): string | undefined {
  return GROUPS.findLast(({ under }) => under.some((directory) => path.startsWith(directory)))?.name;
}

function walk(root: string, directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED_DIRECTORIES.has(entry.name) ? [] : walk(root, path);
    return entry.isFile() ? [path] : [];
  });
}
