/** What the rules ask: the sources with their imports resolved, and the workspaces with what they export. */
import { type Scan, scan } from './scan.ts';
import type { Tree } from './tree.ts';

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export interface Rule {
  readonly name: string;
  check(project: Project): Finding[];
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** A file of the tree, or null when it comes from elsewhere or does not exist. */
  readonly target: string | null;
  /** Erased before it runs. */
  readonly isTypeOnly: boolean;
}

export interface Source {
  readonly path: string;
  readonly text: string;
  /** `packages/net`, `testkit`, or an empty string for what lies outside of the workspaces. */
  readonly workspace: string;
  /** A test, or what only tests lead to. */
  readonly isTest: boolean;
  readonly isGenerated: boolean;
  readonly scan: Scan;
  readonly imports: readonly Import[];
}

export interface Workspace {
  readonly directory: string;
  /** `@ambit/net`. */
  readonly name: string;
  /** `net`. */
  readonly shortName: string;
  /** From specifier to file: `@ambit/net/engine` to `packages/net/src/engine.ts`. */
  readonly exports: ReadonlyMap<string, string>;
  readonly dependencies: ReadonlySet<string>;
}

export interface Project {
  readonly tree: Tree;
  readonly sources: readonly Source[];
  readonly workspaces: readonly Workspace[];
  /** Dependencies of the repository itself, which tests and tools may use. */
  readonly rootDependencies: ReadonlySet<string>;
}

/** More names than this in one import would be a finding by themselves. */
const IMPORT_CHARS_MAX = 4000;

export function loadProject(tree: Tree): Project {
  const workspaces: Workspace[] = [];
  for (const [path, text] of tree) {
    const directory = /^(packages\/[^/]+|testkit)\/package\.json$/.exec(path)?.[1];
    if (directory !== undefined) workspaces.push(readWorkspace(directory, text));
  }
  const read: Source[] = [];
  for (const [path, text] of tree) {
    if (/\.(ts|mts|mjs|js)$/.test(path)) read.push(readSource(tree, workspaces, path, text));
  }
  const exported = new Set(workspaces.flatMap(({ exports }) => [...exports.values()]));
  const shipped = reachableFrom(read, (source) => !source.isTest && isEntry(source.path, exported));
  const tested = reachableFrom(read, (source) => source.isTest);
  const sources = read.map((source) => ({ ...source, isTest: !shipped.has(source.path) && tested.has(source.path) }));
  return { tree, sources, workspaces, rootDependencies: dependenciesOf(tree.get('package.json') ?? '{}') };
}

/** Sources of a rule that speaks of code as written by people. */
export function handWritten(project: Project): Source[] {
  return project.sources.filter((source) => !source.isGenerated);
}

/** A comment `tidy: <reason>` at the line, or among those directly above it, with at least three words of reason. */
export function isExcused(source: Source, line: number): boolean {
  const { comments } = source.scan;
  let top = line;
  for (;;) {
    const above = comments.find((comment) => comment.endLine === top - 1);
    if (above === undefined) break;
    top = above.startLine;
  }
  return comments.some(
    (comment) => comment.startLine >= top && comment.startLine <= line && /tidy:\s+\S+\s+\S+\s+\S+/.test(comment.text),
  );
}

/** Matches in code, outside of comments and strings. */
export function* findInCode(source: Source, pattern: RegExp): Generator<{ line: number; text: string }> {
  for (const match of source.scan.code.matchAll(pattern)) {
    yield { line: source.scan.lineAt(match.index), text: match[0] };
  }
}

/** Files that the chosen ones lead to, by imports or by naming them, with the chosen ones. */
export function reachableFrom(sources: readonly Source[], isRoot: (source: Source) => boolean): Set<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set<string>();
  const waiting = sources.filter(isRoot).map(({ path }) => path);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...source.imports.flatMap(({ target }) => target ?? []), ...namedFiles(source));
  }
  return reached;
}

/** Programs are the main.ts files, and in tools and scripts the files at the top. Declarations belong to their module. */
export function isEntry(path: string, exported: ReadonlySet<string>): boolean {
  if (exported.has(path) || /(^|\/)main\.ts$/.test(path)) return true;
  return /^(tools|scripts)\/[^/]+$/.test(path) || /\.d\.m?ts$/.test(path);
}

/** A file that is started as a process is named by `new URL('./child.ts', import.meta.url)` and the like. */
function namedFiles(source: Source): string[] {
  const directory = source.path.slice(0, source.path.lastIndexOf('/') + 1);
  return source.scan.strings
    .filter(({ value }) => /\.(ts|mjs|js)$/.test(value))
    .flatMap(({ value }) => [joinPath(directory, value), joinPath('', value)]);
}

export function isTestFile(path: string): boolean {
  return /\.(test|fuzz|sim)\.ts$/.test(path);
}

interface PackageJson {
  readonly name?: string;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

function readWorkspace(directory: string, text: string): Workspace {
  const { name = directory, exports = {} } = JSON.parse(text) as PackageJson;
  const files = Object.entries(exports).map(([entry, target]): [string, string] => {
    const file = typeof target === 'string' ? target : (target.default ?? '');
    return [joinPath(name, entry), joinPath(directory, file)];
  });
  const shortName = directory.split('/').at(-1) as string;
  return { directory, name, shortName, exports: new Map(files), dependencies: dependenciesOf(text) };
}

function dependenciesOf(text: string): Set<string> {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(text) as PackageJson;
  return new Set([...Object.keys(dependencies), ...Object.keys(devDependencies)]);
}

function readSource(tree: Tree, workspaces: readonly Workspace[], path: string, text: string): Source {
  const scanned = scan(text);
  const imports: Import[] = [];
  for (const { start, value } of scanned.strings) {
    const before = scanned.code.slice(Math.max(0, start - IMPORT_CHARS_MAX), start);
    // `from '...'`, `import '...'`, `import('...')`
    if (!/(?:[}\s*]from|[^.\w$]import|^import|[^.\w$]import\s*\()\s*$/.test(before)) continue;
    const target = resolveSpecifier(tree, workspaces, path, value);
    const statement = before.slice(before.lastIndexOf(';') + 1);
    const isTypeOnly = /^\s*(?:import|export)\s+type\b/.test(statement);
    imports.push({ specifier: value, line: scanned.lineAt(start), target, isTypeOnly });
  }
  const workspace = workspaces.find(({ directory }) => path.startsWith(`${directory}/`))?.directory ?? '';
  return {
    path,
    text,
    workspace,
    isTest: isTestFile(path),
    isGenerated: path.endsWith('.gen.ts'),
    scan: scanned,
    imports,
  };
}

function resolveSpecifier(
  tree: Tree,
  workspaces: readonly Workspace[],
  from: string,
  specifier: string,
): string | null {
  if (specifier.startsWith('.')) {
    const path = joinPath(from.slice(0, from.lastIndexOf('/') + 1), specifier);
    return tree.has(path) ? path : null;
  }
  for (const { exports } of workspaces) {
    const path = exports.get(specifier);
    if (path !== undefined) return path;
  }
  return null;
}

/** `a/b` and `../c` make `a/c`. */
export function joinPath(directory: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${directory}/${path}`.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
