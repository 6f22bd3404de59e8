/** Runs one test file in a process group of its own, so that what it started ends with it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FileResult, resultOf, type TestEvent } from './report.ts';

const REPORTER = fileURLToPath(new URL('./reporter.ts', import.meta.url));
/** The end of a file's output is what tells why it crashed. */
const OUTPUT_CHARS_MAX = 16_384;

const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) killGroup(pid);
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

export async function runFile(root: string, file: string, timeoutMs: number): Promise<FileResult> {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-test-'));
  const events = join(directory, 'events');
  const startedMs = performance.now();
  try {
    const args = ['--disable-warning=ExperimentalWarning', `--test-reporter=${REPORTER}`];
    args.push(`--test-reporter-destination=${events}`, join(root, file));
    // Its own group, and no terminal: a test that asks for input must not stop the run.
    const child = spawn(process.execPath, args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const pid = child.pid as number;
    running.add(pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARS_MAX);
      });
    }
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(pid);
    }, timeoutMs);
    const exit = await new Promise<number | NodeJS.Signals>((resolve) => {
      // Not 'close': a grandchild that lives on would hold the pipes open. It is ended below.
      child.on('exit', (status, signal) => resolve(signal ?? status ?? 1));
    });
    clearTimeout(timer);
    killGroup(pid);
    running.delete(pid);
    const durationMs = performance.now() - startedMs;
    return resultOf(file, { events: readEvents(events), exit, timedOut, output, durationMs });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** None when the process ended before it could begin; a last line may be cut. */
function readEvents(path: string): TestEvent[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TestEvent);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
