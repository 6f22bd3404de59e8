/** What the imports make as a whole: no cycle among files or packages, and no file that nothing leads to. */
import { type Import, isEntry, isTestFile, type Rule, reachableFrom } from './project.ts';

type Graph = ReadonlyMap<string, readonly string[]>;

export const fileCycles: Rule = {
  name: 'files form no cycle',
  check(project) {
    // Types may refer to one another: they are gone when the files are loaded.
    const edges = (imports: readonly Import[]): string[] =>
      imports.filter(({ isTypeOnly }) => !isTypeOnly).flatMap(({ target }) => target ?? []);
    const graph = new Map(project.sources.map(({ path, imports }) => [path, edges(imports)]));
    return findCycles(graph).map((cycle) => ({ path: cycle[0] as string, line: 1, message: cycle.join(' -> ') }));
  },
};

export const packageCycles: Rule = {
  name: 'packages form no cycle',
  check(project) {
    const graph = new Map<string, string[]>();
    for (const { workspace, isTest, imports } of project.sources) {
      if (workspace === '' || isTest) continue;
      const edges = graph.get(workspace) ?? [];
      for (const { target } of imports) {
        const other = project.workspaces.find(({ directory }) => target?.startsWith(`${directory}/`))?.directory;
        if (other !== undefined && other !== workspace && !edges.includes(other)) edges.push(other);
      }
      graph.set(workspace, edges);
    }
    return findCycles(graph).map((cycle) => ({
      path: `${cycle[0]}/package.json`,
      line: 1,
      message: cycle.join(' -> '),
    }));
  },
};

export const unusedFiles: Rule = {
  name: 'every file is reached from an export, a test or a main',
  check(project) {
    const exported = new Set(project.workspaces.flatMap(({ exports }) => [...exports.values()]));
    const reached = reachableFrom(project.sources, ({ path }) => isTestFile(path) || isEntry(path, exported));
    return project.sources
      .filter(({ path }) => !reached.has(path))
      .map(({ path }) => ({ path, line: 1, message: 'nothing leads to this file' }));
  },
};

/** Each cycle once, from its first file in the order of the graph. */
function findCycles(graph: Graph): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): void => {
    const at = path.indexOf(node);
    if (at !== -1) {
      cycles.push([...path.slice(at), node]);
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const next of graph.get(node) ?? []) visit(next);
    path.pop();
    done.add(node);
  };
  for (const node of graph.keys()) visit(node);
  return cycles;
}
