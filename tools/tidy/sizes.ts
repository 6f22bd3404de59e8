/** A file is read in one sitting and a function on one screen; whoever needs more says why at the place. */
import { stripTypeScriptTypes } from 'node:module';
import { type Finding, handWritten, isExcused, type Rule, type Source } from './project.ts';
import { scan } from './scan.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
/** The opening comment, where the reason for a long file stands. */
const OPENING_LINES = 12;

export const fileLength: Rule = {
  name: `a file has at most ${FILE_LINES_MAX} lines`,
  check(project) {
    const findings: Finding[] = [];
    for (const source of handWritten(project)) {
      const lines = source.text.trimEnd().split('\n').length;
      const firstLine = source.scan.comments.find(({ startLine }) => startLine <= OPENING_LINES)?.endLine ?? 0;
      if (lines > FILE_LINES_MAX && !isExcused(source, Math.min(firstLine + 1, OPENING_LINES))) {
        findings.push({ path: source.path, line: 1, message: `${lines} lines and no "tidy: reason" in the opening` });
      }
    }
    return findings;
  },
};

export const functionLength: Rule = {
  name: `a function has at most ${FUNCTION_LINES_MAX} lines`,
  check(project) {
    return handWritten(project)
      .filter(({ path }) => !/\.d\.m?ts$/.test(path))
      .flatMap(checkFunctions);
  },
};

function checkFunctions(source: Source): Finding[] {
  const { path } = source;
  let plain = source.text;
  if (/\.m?ts$/.test(path)) {
    try {
      plain = stripTypeScriptTypes(source.text);
    } catch (error) {
      return [{ path, line: 1, message: `cannot be read: ${(error as Error).message.split('\n')[0]}` }];
    }
  }
  const findings: Finding[] = [];
  for (const { startLine, endLine } of findFunctions(plain)) {
    const lines = endLine - startLine + 1;
    if (lines <= FUNCTION_LINES_MAX || isExcused(source, startLine)) continue;
    findings.push({ path, line: startLine, message: `a function of ${lines} lines and no "tidy: reason" above it` });
  }
  return findings;
}

interface FunctionLines {
  readonly startLine: number;
  readonly endLine: number;
}

const NOT_FUNCTIONS = new Set(['if', 'for', 'while', 'switch', 'catch', 'with', 'await']);
/** Their callbacks hold tests as a class holds methods. */
const CONTAINERS = new Set(['describe', 'suite']);

/** In JavaScript: a brace after `=>`, or after the parentheses of what is no statement, opens a function. */
export function findFunctions(javascript: string): FunctionLines[] {
  const { code, lineAt } = scan(javascript);
  const { closeOf, openOf, parentOf } = matchBrackets(code);
  const functions: FunctionLines[] = [];
  for (const [open, close] of closeOf) {
    if (code[open] !== '{') continue;
    let head = lastBefore(code, open);
    if (code[head] === '>' && code[head - 1] === '=') head = lastBefore(code, head - 1);
    else if (code[head] !== ')' || NOT_FUNCTIONS.has(wordBefore(code, openOf.get(head) ?? 0))) continue;
    const start = code[head] === ')' ? (openOf.get(head) ?? head) : head;
    const parent = parentOf.get(open);
    if (parent !== undefined && CONTAINERS.has(wordBefore(code, parent))) continue;
    functions.push({ startLine: lineAt(start), endLine: lineAt(close) });
  }
  return functions;
}

function matchBrackets(code: string) {
  const closeOf = new Map<number, number>();
  const openOf = new Map<number, number>();
  /** The bracket around an opening bracket. */
  const parentOf = new Map<number, number>();
  const stack: number[] = [];
  for (let i = 0; i < code.length; i++) {
    const char = code[i] as string;
    if ('([{'.includes(char)) {
      const parent = stack.at(-1);
      if (parent !== undefined) parentOf.set(i, parent);
      stack.push(i);
    } else if (')]}'.includes(char)) {
      const open = stack.pop();
      if (open === undefined) continue;
      closeOf.set(open, i);
      openOf.set(i, open);
    }
  }
  return { closeOf, openOf, parentOf };
}

function lastBefore(code: string, place: number): number {
  let i = place - 1;
  while (i >= 0 && /\s/.test(code[i] as string)) i -= 1;
  return i;
}

function wordBefore(code: string, place: number): string {
  return /([\w$]+)\s*$/.exec(code.slice(Math.max(0, place - 80), place))?.[1] ?? '';
}
