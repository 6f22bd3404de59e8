/**
 * Which lines are written, changed at run time: the directives of RUST_LOG and of `POST /logging` (ztunnel section 8.4),
 * `info` or `access=warn,xds=debug,info`. The longest scope that a line's scope begins with decides. Ours beside Istio's:
 * scopes also match without `ztunnel::`, where Istio's ztunnel accepts such a directive and ignores it.
 */
import type { LogLevel } from '@ambit/base/log';
import { LOG_DIRECTIVES_MAX, LOG_SCOPE_CHARS_MAX } from './limits.ts';
import { shortScope } from './log-line.ts';

/** Ours has no `trace`: as a directive it means `debug`. */
const RANKS: Readonly<Record<string, number>> = { off: 5, error: 4, warn: 3, info: 2, debug: 1, trace: 0 };

interface Directive {
  /** Empty for all. */
  readonly scope: string;
  readonly level: string;
}

export class LogFilter {
  readonly #initial: readonly Directive[];
  #directives: readonly Directive[];

  /** Null: not a filter. */
  static parse(text: string): LogFilter | null {
    const directives = parseDirectives(text);
    return directives === null ? null : new LogFilter(directives);
  }

  private constructor(initial: readonly Directive[]) {
    this.#initial = merge([], initial);
    this.#directives = this.#initial;
  }

  allows(scope: string, level: LogLevel): boolean {
    return RANKS[level]! >= this.#rankOf(scope);
  }

  /** Adds directives to what is, or with `reset` to what was at first. False: not directives, nothing changed. */
  change(text: string, reset: boolean): boolean {
    const added = text === '' ? [] : parseDirectives(text);
    if (added === null) return false;
    const merged = merge(reset ? this.#initial : this.#directives, added);
    if (merged.length > LOG_DIRECTIVES_MAX) return false;
    this.#directives = merged;
    return true;
  }

  /** Takes over the text of another: how a child follows its parent. */
  replace(text: string): boolean {
    const directives = parseDirectives(text);
    if (directives === null) return false;
    this.#directives = merge([], directives);
    return true;
  }

  toString(): string {
    return this.#directives.map(({ scope, level }) => (scope === '' ? level : `${scope}=${level}`)).join(',');
  }

  #rankOf(scope: string): number {
    const short = shortScope(scope);
    const found = this.#directives.find(
      (directive) => scope.startsWith(directive.scope) || short.startsWith(directive.scope),
    );
    return found === undefined ? RANKS.off! : RANKS[found.level]!;
  }
}

/** Null unless every clause is a level or `scope=level`; a scope alone is refused, as by Istio's `/logging`. */
function parseDirectives(text: string): Directive[] | null {
  const clauses = text.split(',', LOG_DIRECTIVES_MAX + 1);
  if (clauses.length > LOG_DIRECTIVES_MAX) return null;
  const directives: Directive[] = [];
  for (const clause of clauses) {
    const equals = clause.lastIndexOf('=');
    const scope = clause.slice(0, Math.max(equals, 0));
    const level = clause.slice(equals + 1);
    if (!Object.hasOwn(RANKS, level)) return null;
    if (equals >= 0 && (!/^[\w:.-]+$/.test(scope) || scope.length > LOG_SCOPE_CHARS_MAX)) return null;
    directives.push({ scope, level });
  }
  return directives;
}

/** The later one of a scope counts. The longest comes first, as Istio shows them. */
function merge(base: readonly Directive[], added: readonly Directive[]): readonly Directive[] {
  const byScope = new Map([...base, ...added].map((directive) => [directive.scope, directive]));
  return [...byScope.values()].sort((a, b) => b.scope.length - a.scope.length || (a.scope < b.scope ? 1 : -1));
}
