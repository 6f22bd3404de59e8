/** Every process and directory that the bench makes, so that all of them go when it ends, however it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How much of a child's stderr is kept to explain its failure. */
const STDERR_BYTES_MAX = 4000;
const EXIT_TIMEOUT_MS = 3000;

export interface ChildOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Child {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #waiting: (() => void) | null = null;
  #stderr = '';
  #ended = false;
  readonly #end: Promise<void>;

  constructor(command: string, args: readonly string[], options: ChildOptions) {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.pid = child.pid ?? -1;
    this.#end = new Promise((resolve) => {
      const ended = (reason: string): void => {
        this.#stderr += reason;
        this.#ended = true;
        this.#waiting?.();
        resolve();
      };
      child.on('error', (error) => ended(error.message));
      child.on('close', () => ended(''));
    });
    child.stdin?.on('error', () => {});
    child.stderr?.on('data', (data: Buffer) => {
      this.#stderr = (this.#stderr + data).slice(-STDERR_BYTES_MAX);
    });
    let partial = '';
    child.stdout?.on('data', (data: Buffer) => {
      const lines = (partial + data).split('\n');
      partial = (lines.pop() as string).slice(-STDERR_BYTES_MAX);
      this.#lines.push(...lines.slice(-100));
      this.#waiting?.();
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next line of its standard output; throws when it ends before, or takes too long. */
  async line(timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    while (this.#lines.length === 0) {
      if (this.#ended) throw new Error(`the process ended: ${this.complaint()}`);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`no answer within ${timeoutMs / 1000} s ${this.complaint()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#lines.shift() as string;
  }

  tell(text: string): void {
    this.#process.stdin?.write(text);
  }

  /** The last thing it said on stderr, on one line. */
  complaint(): string {
    return this.#stderr.trim().split('\n').slice(-3).join(' | ');
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), EXIT_TIMEOUT_MS);
    await this.#end;
    clearTimeout(timer);
  }

  kill(): void {
    if (!this.#ended) this.#process.kill('SIGKILL');
  }
}

export class Children {
  readonly #children = new Set<Child>();
  readonly #directories: string[] = [];

  start(command: string, args: readonly string[], options: ChildOptions = {}): Child {
    for (const child of this.#children) if (child.ended) this.#children.delete(child);
    const child = new Child(command, args, options);
    this.#children.add(child);
    return child;
  }

  temporaryDirectory(): string {
    const directory = mkdtempSync(join(tmpdir(), 'ambit-bench-'));
    this.#directories.push(directory);
    return directory;
  }

  /** Synchronous, so that a handler of a signal or of `exit` can call it last. */
  clean(): void {
    for (const child of this.#children) child.kill();
    for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
    this.#directories.length = 0;
  }
}
