/**
 * Where children keep their compiled modules, so that a successor starts in a fifth of the time. Private to this process,
 * because whoever writes there decides what a child runs; a crashed run's is removed by the next.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'ambit-compiled-';

/** For a child's NODE_COMPILE_CACHE. The caller removes it. */
export function makeCompileCache(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (!Number.isNaN(pid) && !existsSync(`/proc/${pid}`)) removeCompileCache(join(tmpdir(), name));
  }
  return mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/** A child that is killed at this moment may still be writing; what is left then goes with the next run. */
export function removeCompileCache(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}
