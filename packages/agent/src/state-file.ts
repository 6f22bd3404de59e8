/**
 * Which namespaces hold rules of ours, on a file beside the agent's socket: written before the rules and cleared after
 * them, so that whoever comes after a crash knows what to take over and what to clean. It belongs on a tmpfs (/run),
 * which a reboot empties like the namespaces.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { AmbitError } from '@ambit/base/errors';
import type { NamespaceIdentity } from '@ambit/platform/namespace';
import { STATE_FILE_MAX_BYTES } from './limits.ts';

export interface EnrolledRecord extends NamespaceIdentity {
  readonly uid: string;
  /** Where the namespace was found. */
  readonly path: string;
  /** What put the rules there, and so what takes them away. */
  readonly mechanism: Mechanism;
}

export type Mechanism = 'nftables' | 'iptables';

export class StateFile {
  readonly #path: string;
  /** By namespace and mechanism: a namespace that changes hands stays one record. */
  readonly #records = new Map<string, EnrolledRecord>();

  constructor(path: string) {
    this.#path = path;
  }

  /** What an earlier run left. Throws `STATE_FILE` where the file makes no sense; it is kept beside, and replaced. */
  load(): readonly EnrolledRecord[] {
    for (const record of this.#read()) this.#records.set(keyOf(record), record);
    return [...this.#records.values()];
  }

  recordsOf(uid: string): EnrolledRecord[] {
    return [...this.#records.values()].filter((record) => record.uid === uid);
  }

  put(record: EnrolledRecord): void {
    const known = this.#records.get(keyOf(record));
    if (known?.uid === record.uid && known.path === record.path) return;
    this.#records.set(keyOf(record), record);
    this.#write();
  }

  delete(record: NamespaceIdentity & Pick<EnrolledRecord, 'mechanism'>): void {
    if (this.#records.delete(keyOf(record))) this.#write();
  }

  #read(): readonly EnrolledRecord[] {
    try {
      if (statSync(this.#path).size > STATE_FILE_MAX_BYTES) throw new Error('it is too long');
      return parse(readFileSync(this.#path, 'utf8'));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
      const kept = `${this.#path}.unreadable`;
      renameSync(this.#path, kept);
      throw new AmbitError('STATE_FILE', `what an earlier run enrolled could not be read from ${this.#path}`, {
        side: 'internal',
        retry: 'safe',
        hint: `The file is kept as ${kept}; pods that are no longer meshed may still have rules of ours.`,
        cause: thrown,
      });
    }
  }

  /** In one step: a reader, and whoever comes after a crash, sees the old text or the new. */
  #write(): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const enrolled = [...this.#records.values()];
    writeFileSync(`${this.#path}.new`, `${JSON.stringify({ version: 1, enrolled }, null, 1)}\n`, { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function keyOf({ inode, device, mechanism }: NamespaceIdentity & Pick<EnrolledRecord, 'mechanism'>): string {
  return `${device}:${inode}:${mechanism}`;
}

function parse(text: string): readonly EnrolledRecord[] {
  const { version, enrolled } = JSON.parse(text) as { version?: unknown; enrolled?: unknown };
  if (version !== 1 || !Array.isArray(enrolled)) throw new Error('it is of another version');
  return enrolled.map((record) => {
    if (isRecord(record)) return record;
    throw new Error('a record is incomplete');
  });
}

function isRecord(value: unknown): value is EnrolledRecord {
  const record = value as Partial<Record<keyof EnrolledRecord, unknown>> | null;
  return (
    typeof record?.uid === 'string' &&
    typeof record.path === 'string' &&
    typeof record.inode === 'number' &&
    typeof record.device === 'number' &&
    (record.mechanism === 'nftables' || record.mechanism === 'iptables')
  );
}
