/** The log of one part of a proxy: `Log` of base, in ztunnel's form of line, with a filter that changes at run time. */
import type { Clock } from '@ambit/base/clock';
import { AmbitError } from '@ambit/base/errors';
import type { Log, LogFields, LogLevel, LogSink } from '@ambit/base/log';
import type { LogFilter } from './log-filter.ts';
import { beginLine, type LineBuilder, type LineFormat } from './log-line.ts';

export interface LineOutput {
  readonly format: LineFormat;
  readonly filter: LogFilter;
  /** The wall clock. */
  readonly clock: Clock;
  readonly sink: LogSink;
}

/** `scope`: `ztunnel::proxy`, `dns`. */
export function createScopedLog(output: LineOutput, scope: string, fields: LogFields = {}): Log {
  const write = (level: LogLevel, message: string, own: LogFields | undefined): void => {
    if (!output.filter.allows(scope, level)) return;
    const line = beginLine(output.format, { atMs: output.clock.nowMs(), level, scope, message });
    for (const [key, value] of Object.entries({ ...fields, ...own })) {
      if (!RESERVED.has(key)) addField(line, key, value);
    }
    output.sink(line.end());
  };
  return {
    enabled: (level) => output.filter.allows(scope, level),
    debug: (event, own) => write('debug', event, own),
    info: (event, own) => write('info', event, own),
    warn: (event, own) => write('warn', event, own),
    error: (event, own) => write('error', event, own),
    with: (more) => createScopedLog(output, scope, { ...fields, ...more }),
  };
}

/** A JSON object must not have a key twice. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'scope', 'message']);

function addField(line: LineBuilder, key: string, value: LogFields[string]): void {
  if (value === undefined || value === null) return;
  if (typeof value === 'number') line.number(key, value);
  else if (typeof value === 'string') line.string(key, value);
  else if (!(value instanceof Error)) line.bare(key, String(value));
  else {
    line.string(key, value.message);
    if (value instanceof AmbitError) line.string(`${key}_code`, value.code);
  }
}
