/**
 * A line of the log in the form of Istio's ztunnel (section 8.3): text with tabs between time, level, scope, message and
 * fields, strings quoted as Rust quotes them; or one JSON object. Whatever is in a value, a line stays one line and a
 * field one field. A field that is empty or null is left out.
 */
import { LOG_VALUE_CHARS_MAX, type LogLevel } from '@ambit/base/log';

export type LineFormat = 'text' | 'json';

export interface LineHead {
  /** Wall clock, with a fraction where the clock has one. */
  readonly atMs: number;
  readonly level: LogLevel;
  /** `access`, `dns`, `ztunnel::proxy`; text shows it without `ztunnel::`. */
  readonly scope: string;
  readonly message: string;
}

export interface LineBuilder {
  string(key: string, value: string | null): void;
  /** An address: bare in text, if it cannot be mistaken for anything else. */
  bare(key: string, value: string | null): void;
  number(key: string, value: number | null): void;
  end(): string;
}

export function beginLine(format: LineFormat, head: LineHead): LineBuilder {
  return format === 'json' ? new JsonLine(head) : new TextLine(head);
}

/** Without `ztunnel::`. */
export function shortScope(scope: string): string {
  return scope.startsWith('ztunnel::') ? scope.slice('ztunnel::'.length) : scope;
}

class TextLine implements LineBuilder {
  #line: string;
  #separator = '';

  constructor({ atMs, level, scope, message }: LineHead) {
    this.#line = `${timestamp(atMs)}\t${level}\t${shortScope(scope)}\t${escapeText(cut(message), CONTROLS)}\t`;
  }

  string(key: string, value: string | null): void {
    if (value !== null && value !== '') this.#add(key, quote(cut(value)));
  }

  bare(key: string, value: string | null): void {
    if (value !== null && value !== '') this.#add(key, BARE.test(value) ? cut(value) : quote(cut(value)));
  }

  number(key: string, value: number | null): void {
    if (value !== null) this.#add(key, String(value));
  }

  end(): string {
    return this.#line;
  }

  #add(key: string, shown: string): void {
    this.#line += `${this.#separator}${key}=${shown}`;
    this.#separator = ' ';
  }
}

class JsonLine implements LineBuilder {
  #line: string;

  constructor({ atMs, level, scope, message }: LineHead) {
    const text = jsonString(cut(message));
    this.#line = `{"level":"${level}","time":"${timestamp(atMs)}","scope":${jsonString(scope)},"message":${text}`;
  }

  string(key: string, value: string | null): void {
    if (value !== null && value !== '') this.#line += `,${jsonString(key)}:${jsonString(cut(value))}`;
  }

  bare(key: string, value: string | null): void {
    this.string(key, value);
  }

  number(key: string, value: number | null): void {
    if (value !== null) this.#line += `,${jsonString(key)}:${value}`;
  }

  end(): string {
    return `${this.#line}}`;
  }
}

/** `2026-01-02T03:04:05.678901Z` */
export function timestamp(atMs: number): string {
  const micros = Math.round(atMs * 1000);
  const wholeMs = Math.floor(micros / 1000);
  const rest = String(micros - wholeMs * 1000).padStart(3, '0');
  return `${new Date(wholeMs).toISOString().slice(0, -1)}${rest}Z`;
}

const BARE = /^[\w.:[\]/%-]+$/;
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** What Rust does not print as it is, and what ends a quotation. */
const SPECIAL = /(?! )["\\\p{C}\p{Z}\p{Grapheme_Extend}]/gu;
const CONTROLS = /(?! )[\p{C}\p{Zl}\p{Zp}]/gu;
const RUST_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\0': '\\0',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(value: string): string {
  return `"${escapeText(value, SPECIAL)}"`;
}

function escapeText(text: string, special: RegExp): string {
  if (PLAIN.test(text)) return text;
  return text.replace(special, (char) => RUST_ESCAPES[char] ?? `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** As serde writes it, and also escaped what commands a terminal or ends a line somewhere. */
function jsonString(text: string): string {
  const json = JSON.stringify(text);
  if (PLAIN.test(text)) return json;
  return json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function cut(text: string): string {
  return text.length <= LOG_VALUE_CHARS_MAX ? text : `${text.slice(0, LOG_VALUE_CHARS_MAX)}...`;
}
