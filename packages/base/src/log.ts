/**
 * The structured log: an event of fixed words and fields beside it, so that lines can be searched without guessing. The
 * only way to say something from a process; `console` is for commands.
 *
 * A line is a line: nothing that a peer sent can begin another one, because control characters are always escaped.
 */
import type { Clock } from './clock.ts';
import { AmbitError } from './errors.ts';

/** Longer texts are cut: what a peer sent must not fill the log by itself. */
export const LOG_VALUE_CHARS_MAX = 1024;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

export type LogValue = string | number | bigint | boolean | null | undefined | Error;
/** Keys are lower_snake words. Fields that are undefined are left out. */
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Log {
  /** To ask before fields are gathered that cost something. */
  enabled(level: LogLevel): boolean;
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  with(fields: LogFields): Log;
}

export interface LogRecord {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

export type LogFormat = (record: LogRecord) => string;

/** Takes one line without its end. It never throws and never waits. */
export type LogSink = (line: string) => void;

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** The wall clock, or a manual one. */
  readonly clock: Clock;
  readonly sink: LogSink;
}

export function createLog(options: LogOptions): Log {
  return new FieldLog(options, {});
}

/** For what must be given a log and has nobody to listen. */
export const silentLog: Log = {
  enabled: () => false,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};

export function parseLogLevel(text: string): LogLevel | null {
  return LEVELS.find((level) => level === text) ?? null;
}

/** `2026-01-31T12:00:00.000Z INFO connection closed bytes=12 peer="a b"` */
export function formatText(record: LogRecord): string {
  let line = `${new Date(record.atMs).toISOString()} ${record.level.toUpperCase()} ${escapeControls(record.event)}`;
  for (const [key, value] of flatten(record.fields)) line += ` ${escapeControls(key)}=${textOf(value)}`;
  return line;
}

/** One JSON object; `time`, `level` and `event` come first and win over fields of the same name. */
export function formatJson(record: LogRecord): string {
  const object: Record<string, unknown> = {
    time: new Date(record.atMs).toISOString(),
    level: record.level,
    event: record.event,
  };
  for (const [key, value] of flatten(record.fields)) {
    if (!Object.hasOwn(object, key)) object[key] = typeof value === 'bigint' ? value.toString() : value;
  }
  return escapeControls(JSON.stringify(object));
}

class FieldLog implements Log {
  readonly #options: LogOptions;
  readonly #fields: LogFields;
  readonly #rankMin: number;

  constructor(options: LogOptions, fields: LogFields) {
    this.#options = options;
    this.#fields = fields;
    this.#rankMin = LEVELS.indexOf(options.level);
  }

  enabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= this.#rankMin;
  }

  debug(event: string, fields?: LogFields): void {
    this.#write('debug', event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#write('info', event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#write('warn', event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#write('error', event, fields);
  }

  with(fields: LogFields): Log {
    return new FieldLog(this.#options, { ...this.#fields, ...fields });
  }

  #write(level: LogLevel, event: string, fields: LogFields | undefined): void {
    if (!this.enabled(level)) return;
    const { clock, format, sink } = this.#options;
    sink(format({ atMs: clock.nowMs(), level, event, fields: { ...this.#fields, ...fields } }));
  }
}

type PlainValue = Exclude<LogValue, undefined | Error>;

/** An error becomes its message and, where it has them, `<key>_code`, `_side`, `_retry` and `_hint`. */
function flatten(fields: LogFields): [string, PlainValue][] {
  const flat: [string, PlainValue][] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (!(value instanceof Error)) {
      flat.push([key, typeof value === 'string' ? cut(value) : value]);
      continue;
    }
    flat.push([key, cut(value.message)]);
    if (!(value instanceof AmbitError)) continue;
    flat.push([`${key}_code`, value.code], [`${key}_side`, value.side], [`${key}_retry`, value.retry]);
    if (value.hint !== undefined) flat.push([`${key}_hint`, value.hint]);
  }
  return flat;
}

function cut(text: string): string {
  return text.length <= LOG_VALUE_CHARS_MAX ? text : `${text.slice(0, LOG_VALUE_CHARS_MAX)}...`;
}

/** Bare where a reader cannot mistake it, else as a JSON string. */
function textOf(value: PlainValue): string {
  const text = String(value);
  const bare = typeof value !== 'string' || /^[\w./:@%+~-]+$/.test(text);
  return bare ? text : escapeControls(JSON.stringify(text));
}

/** C0, DEL, C1 and the two Unicode line ends: what begins a new line or commands a terminal somewhere. */
function escapeControls(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
