/** How an import may be written: through `exports`, inside of its own package, and only of what is declared. */
import { type Finding, joinPath, type Project, type Rule, type Source } from './project.ts';

export const deepImports: Rule = {
  name: 'packages are imported through their exports',
  check(project) {
    return eachImport(project, (_source, { specifier, target }) => {
      const owner = project.workspaces.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
      if (owner === undefined || target !== null) return null;
      return `${specifier} is not among the exports of ${owner.directory}/package.json`;
    });
  },
};

export const relativeImports: Rule = {
  name: 'relative imports stay inside of their package and name a file',
  check(project) {
    return eachImport(project, (source, { specifier, target }) => {
      if (!specifier.startsWith('.')) return null;
      const path = joinPath(source.path.slice(0, source.path.lastIndexOf('/') + 1), specifier);
      const home = project.workspaces.find(({ directory }) => path.startsWith(`${directory}/`))?.directory ?? '';
      if (home !== source.workspace) return `${specifier} leaves ${source.workspace || 'its part of the repository'}`;
      return target === null ? `${specifier} does not exist` : null;
    });
  },
};

export const declaredImports: Rule = {
  name: 'what is imported is declared in package.json',
  check(project) {
    return eachImport(project, (source, { specifier }) => {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) return null;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      return isDeclared(project, source, name)
        ? null
        : `${name} is not a dependency of ${source.workspace || 'the root'}`;
    });
  },
};

export const exportsExist: Rule = {
  name: 'every export is a file',
  check(project) {
    return project.workspaces.flatMap(({ directory, exports }) =>
      [...exports]
        .filter(([, file]) => !project.tree.has(file))
        .map(([specifier, file]) => ({
          path: `${directory}/package.json`,
          line: 1,
          message: `${specifier}: ${file} does not exist`,
        })),
    );
  },
};

function isDeclared(project: Project, source: Source, name: string): boolean {
  const own = project.workspaces.find(({ directory }) => directory === source.workspace);
  if (own !== undefined && (own.name === name || own.dependencies.has(name))) return true;
  if (own !== undefined && !source.isTest) return false;
  return project.rootDependencies.has(name) || project.workspaces.some((workspace) => workspace.name === name);
}

function eachImport(
  project: Project,
  judge: (source: Source, imported: Source['imports'][number]) => string | null,
): Finding[] {
  const findings: Finding[] = [];
  for (const source of project.sources) {
    for (const imported of source.imports) {
      const message = judge(source, imported);
      if (message !== null) findings.push({ path: source.path, line: imported.line, message });
    }
  }
  return findings;
}
