/** The bounds of a limits.ts: numbers from the module as it runs, reasons from the comments above them. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { LimitRow } from '@ambit/ztunnel/reference';

/** Throws when a bound has no reason. */
export async function readLimits(path: string): Promise<LimitRow[]> {
  const exported = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  const values = new Map<string, number>();
  for (const [name, value] of Object.entries(exported)) {
    // Where bounds are options, one object holds them.
    const found: Record<string, unknown> =
      typeof value === 'object' && value !== null ? { ...value } : { [name]: value };
    for (const [each, number] of Object.entries(found)) if (typeof number === 'number') values.set(each, number);
  }
  const reasons = reasonsIn(readFileSync(path, 'utf8'));
  const rows: LimitRow[] = [];
  for (const [name, reason] of reasons) {
    const value = values.get(name);
    if (value !== undefined) rows.push({ name, value: String(value), reason });
    values.delete(name);
  }
  const [missing] = values.keys();
  if (missing !== undefined) throw new Error(`${path}: no reason is given for ${missing}`);
  return rows;
}

/** A comment holds for all names up to the next one. The first is about the file. */
export function reasonsIn(source: string): Map<string, string> {
  const reasons = new Map<string, string>();
  let reason: string | null = null;
  let isOpening = true;
  for (const [, comment, name] of source.matchAll(/\/\*\*([\s\S]*?)\*\/|\b(?:export const|readonly) (\w+)/g)) {
    if (comment !== undefined) {
      if (!isOpening) reason = comment.replace(/\s*\n\s*\*\s*/g, ' ').trim();
      isOpening = false;
    } else if (name !== undefined && reason !== null && !reasons.has(name)) {
      reasons.set(name, reason);
    }
  }
  return reasons;
}
