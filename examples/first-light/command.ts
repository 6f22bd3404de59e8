/** Runs other programs: to their end, or beside us until they are stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const OUTPUT_MAX_CHARS = 1024 * 1024;

/** Its standard output. Rejects with what it said when it fails. */
export function run(command: readonly string[], input = ''): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = start(command);
  let output = '';
  let complaint = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(0, OUTPUT_MAX_CHARS);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, OUTPUT_MAX_CHARS);
  });
  child.on('error', reject);
  child.on('close', (code, signal) => {
    if (code === 0) resolve(output);
    else reject(new Error(`${command.join(' ')} failed (${signal ?? `status ${code}`}): ${complaint.trim()}`));
  });
  // A program that ends without reading its input is told by its status.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  return promise;
}

/** In a session of its own: Ctrl-C is ours to act on, and tidying up must not be interrupted by it. */
export function start([program = '', ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { detached: true, stdio: 'pipe' });
}

/** Throws with a sentence for the user. */
export function requirePrograms(names: readonly string[]): void {
  const absent = names.filter((name) => findProgram(name) === null);
  if (absent.length === 0) return;
  throw new Error(`First light needs ${absent.join(' and ')}; on Debian or Ubuntu: apt install iproute2 nftables`);
}

/** Path of an installed program, or null. */
export function findProgram(name: string): string | null {
  const directories = (process.env.PATH ?? '').split(delimiter);
  for (const directory of [...directories, '/usr/sbin', '/sbin']) {
    const path = join(directory, name);
    if (existsSync(path)) return path;
  }
  return null;
}
