/**
 * What parent and children say to one another: one JSON object a record of a SEQPACKET channel, told apart by `type`.
 * Both ends are one program, yet records are validated: a child that was taken over must not confuse its parent.
 */
import { AmbitError } from '@ambit/base/errors';
import { RECORD_MAX_BYTES } from './limits.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export type ParentRecord =
  /** Comes with the descriptor. */
  | { readonly type: 'listener'; readonly id: string; readonly purpose: Json }
  | { readonly type: 'listener-removed'; readonly id: string }
  /** `more`: this epoch is not complete before the next record of it. */
  | { readonly type: 'state'; readonly epoch: number; readonly more: boolean; readonly body: Json }
  | { readonly type: 'ping'; readonly sequence: number }
  | { readonly type: 'drain'; readonly deadlineMs: number };

export type ChildRecord =
  | { readonly type: 'joined' }
  | { readonly type: 'applied'; readonly epoch: number }
  | { readonly type: 'pong'; readonly sequence: number }
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'message'; readonly body: Json }
  /** It wants to be drained and replaced. */
  | { readonly type: 'replace'; readonly reason: string };

type FieldKind = 'string' | 'number' | 'boolean' | 'json';
type Shapes<Union extends { readonly type: string }> = Readonly<
  Record<Union['type'], Readonly<Record<string, FieldKind>>>
>;

const PARENT_SHAPES: Shapes<ParentRecord> = {
  listener: { id: 'string', purpose: 'json' },
  'listener-removed': { id: 'string' },
  state: { epoch: 'number', more: 'boolean', body: 'json' },
  ping: { sequence: 'number' },
  drain: { deadlineMs: 'number' },
};

const CHILD_SHAPES: Shapes<ChildRecord> = {
  joined: {},
  applied: { epoch: 'number' },
  pong: { sequence: 'number' },
  log: { line: 'string' },
  message: { body: 'json' },
  replace: { reason: 'string' },
};

const encoder = new TextEncoder();

/** Throws `WORKER_RECORD_TOO_LARGE`. */
export function encodeRecord(record: ParentRecord | ChildRecord): Uint8Array {
  const bytes = encoder.encode(JSON.stringify(record));
  if (bytes.length <= RECORD_MAX_BYTES) return bytes;
  const message = `a ${record.type} record of ${bytes.length} bytes exceeds the ${RECORD_MAX_BYTES} bytes of one record`;
  throw new AmbitError('WORKER_RECORD_TOO_LARGE', message, {
    side: 'internal',
    retry: 'never',
    hint: 'Send the state in several messages.',
  });
}

/** Null for anything that is not a whole record of a parent. */
export function parseParentRecord(text: string): ParentRecord | null {
  return parse(text, PARENT_SHAPES) as ParentRecord | null;
}

/** Null for anything that is not a whole record of a child. */
export function parseChildRecord(text: string): ChildRecord | null {
  return parse(text, CHILD_SHAPES) as ChildRecord | null;
}

function parse(text: string, shapes: Readonly<Record<string, Readonly<Record<string, FieldKind>>>>): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') return null;
  const shape = Object.hasOwn(shapes, value.type) ? shapes[value.type] : undefined;
  if (shape === undefined) return null;
  const fields = value as Readonly<Record<string, unknown>>;
  for (const [name, kind] of Object.entries(shape)) {
    if (!Object.hasOwn(fields, name)) return null;
    const given = fields[name];
    if (kind === 'json') continue;
    if (typeof given !== kind) return null;
    if (kind === 'number' && !(Number.isSafeInteger(given) && (given as number) >= 0)) return null;
  }
  return Object.keys(fields).length === Object.keys(shape).length + 1 ? value : null;
}
