/** Rules for what is read: decisions stay short, links lead somewhere, no path says whose machine it was. */
import { type Finding, joinPath, type Rule } from './project.ts';

const DECISION_LINES_MAX = 60;

export const shortDecisions: Rule = {
  name: `a decision has at most ${DECISION_LINES_MAX} lines`,
  check({ tree }) {
    return [...tree]
      .filter(([path, text]) => /^docs\/decisions\/.*\.md$/.test(path) && lineCount(text) > DECISION_LINES_MAX)
      .map(([path, text]) => ({ path, line: 1, message: `${lineCount(text)} lines: half a page is enough` }));
  },
};

export const noHomePaths: Rule = {
  name: 'no path of one machine',
  check({ tree }) {
    return [...tree].flatMap(([path, text]) =>
      linesMatching(text, /(?<![\w.:/-])\/(?:root|(?:home|Users)\/\w+)\//).map((line) => ({
        path,
        line,
        message: 'an absolute path in a home directory',
      })),
    );
  },
};

export const linksResolve: Rule = {
  name: 'links in documents lead to files',
  check({ tree }) {
    const findings: Finding[] = [];
    for (const [path, text] of tree) {
      if (!path.endsWith('.md')) continue;
      const directory = path.slice(0, path.lastIndexOf('/') + 1);
      for (const match of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        const [target = ''] = (match[1] as string).split('#');
        if (target === '' || /^[a-z]+:/.test(target)) continue;
        const file = joinPath(directory, target);
        if (existsIn(tree, file)) continue;
        const line = text.slice(0, match.index).split('\n').length;
        findings.push({ path, line, message: `${match[1]} leads nowhere` });
      }
    }
    return findings;
  },
};

/** LICENSE is in no list of text files, and a folder is there when something is in it. */
function existsIn(tree: ReadonlyMap<string, string>, file: string): boolean {
  return file === 'LICENSE' || tree.has(file) || [...tree.keys()].some((path) => path.startsWith(`${file}/`));
}

/** Blanks code, so that an index stays on its line. */
function withoutCode(markdown: string): string {
  return markdown.replace(/```[\s\S]*?```|`[^`\n]*`/g, (code) => code.replace(/[^\n]/g, ' '));
}

function linesMatching(text: string, words: RegExp): number[] {
  return text.split('\n').flatMap((line, index) => (words.test(line) ? [index + 1] : []));
}

function lineCount(text: string): number {
  return text.trimEnd().split('\n').length;
}
