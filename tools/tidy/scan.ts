/**
 * A small scanner for TypeScript and JavaScript: tells code, comments, strings and regular expressions apart, and nothing
 * more. The typescript package of the native compiler has no stable interface for this.
 */
export interface Comment {
  readonly startLine: number;
  readonly endLine: number;
  readonly text: string;
}

export interface StringLiteral {
  /** Place of the opening quote in the source. */
  readonly start: number;
  readonly value: string;
}

export interface Scan {
  /** As long as the source and with the same lines; comments, and what is inside of strings, are blanks. */
  readonly code: string;
  readonly comments: readonly Comment[];
  readonly strings: readonly StringLiteral[];
  /** One-based. */
  lineAt(place: number): number;
}

/** After these words a slash begins a regular expression; after other words it divides. */
const BEFORE_EXPRESSION = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|await|yield|else|do)$/;

export function scan(source: string): Scan {
  const scanner = new Scanner(source);
  scanner.run();
  return { code: scanner.code.join(''), comments: scanner.comments, strings: scanner.strings, lineAt: scanner.lineAt };
}

class Scanner {
  readonly code: string[];
  readonly comments: Comment[] = [];
  readonly strings: StringLiteral[] = [];
  readonly #source: string;
  readonly #lineStarts = [0];
  #place = 0;
  /** For each template that is open: how many braces are open inside of its `${`. */
  readonly #templates: number[] = [];

  constructor(source: string) {
    this.#source = source;
    this.code = source.split('');
    for (let i = 0; i < source.length; i++) if (source[i] === '\n') this.#lineStarts.push(i + 1);
  }

  readonly lineAt = (place: number): number => {
    const after = this.#lineStarts.findIndex((start) => start > place);
    return after === -1 ? this.#lineStarts.length : after;
  };

  run(): void {
    while (this.#place < this.#source.length) {
      const char = this.#source[this.#place] as string;
      const next = this.#source[this.#place + 1];
      if (char === '#' && next === '!' && this.#place === 0) this.#skipTo(this.#lineEnd());
      else if (char === '/' && next === '/') this.#comment(this.#lineEnd());
      else if (char === '/' && next === '*') this.#comment(this.#indexAfter('*/'));
      else if (char === '/' && this.#expectsExpression()) this.#regularExpression();
      else if (char === "'" || char === '"') this.#string(char);
      else if (char === '`') this.#template();
      else this.#plain(char);
    }
  }

  #plain(char: string): void {
    const top = this.#templates.length - 1;
    if (top >= 0) {
      if (char === '{') this.#templates[top] = (this.#templates[top] as number) + 1;
      if (char === '}') {
        if (this.#templates[top] === 0) {
          this.#templates.pop();
          this.#template();
          return;
        }
        this.#templates[top] = (this.#templates[top] as number) - 1;
      }
    }
    this.#place += 1;
  }

  #comment(end: number): void {
    const text = this.#source.slice(this.#place, end);
    this.comments.push({ startLine: this.lineAt(this.#place), endLine: this.lineAt(end - 1), text });
    this.#skipTo(end);
  }

  #string(quote: string): void {
    const start = this.#place;
    let end = start + 1;
    while (end < this.#source.length && this.#source[end] !== quote) end += this.#source[end] === '\\' ? 2 : 1;
    this.strings.push({ start, value: this.#source.slice(start + 1, end) });
    this.#place += 1;
    this.#skipTo(end);
    this.#place += 1;
  }

  /** From its beginning, or from the brace that ends a `${}`, to its end or to the next `${`. */
  #template(): void {
    const start = this.#place;
    let end = start + 1;
    while (end < this.#source.length && this.#source[end] !== '`' && !this.#source.startsWith('${', end)) {
      end += this.#source[end] === '\\' ? 2 : 1;
    }
    if (this.#source[start] === '`' && this.#source[end] === '`') {
      this.strings.push({ start, value: this.#source.slice(start + 1, end) });
    }
    const opens = this.#source.startsWith('${', end);
    this.#place += 1;
    this.#skipTo(end);
    if (opens) this.#templates.push(0);
    this.#place = end + (opens ? 2 : 1);
    // The braces of `${` and `}` are blanked, so that those that stay in the code match.
    if (this.#source[start] === '}') this.code[start] = ' ';
    if (opens) this.code.fill(' ', end, end + 2);
  }

  #regularExpression(): void {
    let end = this.#place + 1;
    let inClass = false;
    while (end < this.#source.length && this.#source[end] !== '\n') {
      const char = this.#source[end];
      if (char === '/' && !inClass) break;
      if (char === '[') inClass = true;
      if (char === ']') inClass = false;
      end += char === '\\' ? 2 : 1;
    }
    this.#place += 1;
    this.#skipTo(end);
    this.#place += 1;
  }

  #expectsExpression(): boolean {
    const before = this.code
      .slice(Math.max(0, this.#place - 200), this.#place)
      .join('')
      .trimEnd();
    const last = before.at(-1);
    return last === undefined || '(,=:[!&|?{};+-*%<>~^'.includes(last) || BEFORE_EXPRESSION.test(before);
  }

  #skipTo(end: number): void {
    for (; this.#place < end && this.#place < this.#source.length; this.#place++) {
      if (this.#source[this.#place] !== '\n') this.code[this.#place] = ' ';
    }
  }

  #lineEnd(): number {
    const end = this.#source.indexOf('\n', this.#place);
    return end === -1 ? this.#source.length : end;
  }

  #indexAfter(text: string): number {
    const found = this.#source.indexOf(text, this.#place + 2);
    return found === -1 ? this.#source.length : found + text.length;
  }
}
