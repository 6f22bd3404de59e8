/** What must not stand in code: habits of CONTRIBUTING.md that a pattern can hold. */
import { type Finding, findInCode, handWritten, isExcused, type Project, type Rule, type Source } from './project.ts';

export const noAny = pattern(
  'no any',
  /(?<![.\w$'"])any(?![\w$]|\s*[(:?])/g,
  () => true,
  'any: say what it is, or unknown',
);

export const noDefaultExport = pattern(
  'no default export',
  /\bexport\s+default\b|\bas\s+default\b/g,
  () => true,
  'export by name, so that it is called the same everywhere',
);

export const noConsole = pattern(
  'console is for commands',
  /(?<![.\w$])console\s*[.[]/g,
  ({ path, isTest }) => !isTest && !/^(tools|scripts|examples|bench|packages\/cli)\//.test(path),
  'write to a Log (@ambit/base/log)',
);

/** wire and model: the same answer everywhere, also in a browser and in the simulator. */
export const purePackages: Rule = {
  name: 'wire and model are pure',
  check(project) {
    const effects =
      /(?<![.\w$])(Date\.now|new\s+Date\s*\(\s*\)|performance\.|Math\.random|process\.|Buffer[.(]|fetch\s*\(|set(Timeout|Interval|Immediate)\s*\()/g;
    return project.sources
      .filter(({ path, isTest }) => !isTest && /^packages\/(wire|model)\/src\//.test(path))
      .flatMap((source) => [
        ...source.imports
          .filter(({ specifier }) => specifier.startsWith('node:'))
          .map(({ line, specifier }) => ({ path: source.path, line, message: `imports ${specifier}` })),
        ...matches(source, effects, 'an effect: let the caller pass the value'),
      ]);
  },
};

export const noHiddenTime = pattern(
  'time and chance are passed in',
  /(?<![.\w$])(Date\.now|new\s+Date\s*\(\s*\)|performance\.now|Math\.random)\b/g,
  ({ path, isTest }) => !isTest && /^packages\/(?!base\/|net\/)/.test(path) && !path.endsWith('/main.ts'),
  'take a Clock or an Rng (@ambit/base)',
);

export const todoWithReason: Rule = {
  name: 'what is left to do says why',
  check(project) {
    return handWritten(project).flatMap(({ path, scan }) =>
      scan.comments
        .filter(({ text }) => /\b(TODO|FIXME|XXX)\b(?!:\s+\S+\s+\S+\s+\S+)/.test(text))
        .map(({ startLine }) => ({ path, line: startLine, message: 'write "TODO: what and why", or do it' })),
    );
  },
};

function pattern(name: string, words: RegExp, applies: (source: Source) => boolean, message: string): Rule {
  const check = (project: Project): Finding[] =>
    handWritten(project)
      .filter(applies)
      .flatMap((source) => matches(source, words, message));
  return { name, check };
}

function matches(source: Source, words: RegExp, message: string): Finding[] {
  return [...findInCode(source, words)]
    .filter(({ line }) => !isExcused(source, line))
    .map(({ line, text }) => ({ path: source.path, line, message: `${text.trim()}: ${message}` }));
}
