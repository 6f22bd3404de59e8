/** The pages of docs/reference: what can be set, and every bound, from the tables and files that the program runs on. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LimitRow, referencePage } from '@ambit/ztunnel/reference';
import { readLimits } from './limits.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the node proxy is built from; its own table is in the page already. */
const PACKAGES = ['wire', 'model', 'platform', 'net', 'identity', 'xds', 'telemetry', 'ztunnel'];
const OWN_TABLE = 'packages/ztunnel/src/limits.ts';

/** Text by path. */
export async function generateDocs(): Promise<Map<string, string>> {
  const files = PACKAGES.flatMap((name) => globSync(`packages/${name}/src/**/limits.ts`, { cwd: root }).sort());
  const limits: [string, LimitRow[]][] = [];
  for (const file of files) {
    if (file !== OWN_TABLE) limits.push([titleOf(file), await readLimits(join(root, file))]);
  }
  return new Map([[join(root, 'docs', 'reference', 'ztunnel.md'), referencePage(limits)]]);
}

/** `packages/net/src/reactor/limits.ts` is `net, reactor`. */
function titleOf(file: string): string {
  const [, name, , ...folders] = file.split('/').slice(0, -1);
  return [name, ...folders].join(', ');
}
