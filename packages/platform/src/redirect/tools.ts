/**
 * Programs of the system, run to their end in a network namespace: nft, iptables-restore and ip speak for the one they
 * are in, and nsenter (util-linux, which Debian always has) puts them there. Bounded in time and output.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '@ambit/base/errors';
import { TOOL_COMPLAINT_CHARS_MAX, TOOL_OUTPUT_BYTES_MAX, TOOL_TIMEOUT_MS } from './limits.ts';

export interface ToolCall {
  readonly tool: string;
  readonly args: readonly string[];
  /** Given on standard input. */
  readonly input?: string;
  /** Run in this network namespace, else in our own. */
  readonly namespaceFd?: number;
}

export interface ToolResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ToolsOptions {
  readonly directories?: readonly string[];
  readonly timeoutMs?: number;
}

export class Tools {
  readonly #directories: readonly string[];
  readonly #timeoutMs: number;
  readonly #found = new Map<string, string>();

  /** A service's PATH often lacks sbin, so these directories are searched and not PATH. */
  constructor({ directories = DIRECTORIES, timeoutMs = TOOL_TIMEOUT_MS }: ToolsOptions = {}) {
    this.#directories = directories;
    this.#timeoutMs = timeoutMs;
  }

  has(tool: string): boolean {
    return this.#find(tool) !== null;
  }

  /** Throws `REDIRECT_TOOL_MISSING`, saying which package brings it. */
  require(...tools: string[]): void {
    for (const tool of tools) this.#path(tool);
  }

  /** Standard output of a call that succeeded; throws `REDIRECT_TOOL` with what the tool said. */
  async run(call: ToolCall): Promise<string> {
    const result = await this.attempt(call);
    if (result.status !== 0) throw toolError(call, `failed with status ${result.status}`, result.stderr);
    return result.stdout;
  }

  /** As `run`, for callers that expect some failures. What cannot be started or does not end throws all the same. */
  attempt(call: ToolCall): Promise<ToolResult> {
    const path = this.#path(call.tool);
    if (call.namespaceFd === undefined) return execute(call, [path, ...call.args], [], this.#timeoutMs);
    const enter = this.#path('nsenter');
    // The namespace is the child's descriptor 3, whatever its number is here.
    const command = [enter, '--net=/proc/self/fd/3', '--', path, ...call.args];
    return execute(call, command, [call.namespaceFd], this.#timeoutMs);
  }

  #path(tool: string): string {
    const path = this.#find(tool);
    if (path !== null) return path;
    const name = PACKAGES[tool] ?? tool;
    throw new AmbitError('REDIRECT_TOOL_MISSING', `${tool} is not installed`, {
      side: 'internal',
      retry: 'never',
      hint: `Install the package ${name} (Debian, Ubuntu: "apt-get install ${name}").`,
    });
  }

  #find(tool: string): string | null {
    const known = this.#found.get(tool);
    if (known !== undefined) return known;
    for (const directory of this.#directories) {
      const path = join(directory, tool);
      if (!isExecutable(path)) continue;
      this.#found.set(tool, path);
      return path;
    }
    return null;
  }
}

const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const PACKAGES: Readonly<Record<string, string>> = {
  nft: 'nftables',
  ip: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  cat: 'coreutils',
  ...Object.fromEntries(
    ['', '-nft', '-legacy'].flatMap((flavour) =>
      ['iptables', 'ip6tables'].flatMap((name) =>
        ['', '-save', '-restore'].map((verb) => [`${name}${flavour}${verb}`, 'iptables']),
      ),
    ),
  ),
};

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function execute(call: ToolCall, command: string[], descriptors: number[], timeoutMs: number): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    // A group of its own: what ends this process does not end a tool halfway, and its end is that of its children.
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe', ...descriptors],
      env: { LC_ALL: 'C', PATH: DIRECTORIES.join(':') },
      detached: true,
    });
    const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
    const text = (name: keyof typeof output): string => Buffer.concat(output[name]).toString();
    let lengthBytes = 0;
    let event = '';
    const end = (why: string): void => {
      event = why;
      endGroup(child.pid);
    };
    const timer = setTimeout(() => end(`did not end within ${timeoutMs} ms`), timeoutMs);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        lengthBytes += chunk.length;
        if (lengthBytes > TOOL_OUTPUT_BYTES_MAX) end(`said more than ${TOOL_OUTPUT_BYTES_MAX} bytes`);
        else output[name].push(chunk);
      });
    }
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(toolError(call, 'cannot be started', error.message));
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (status !== null && event === '') resolve({ status, stdout: text('stdout'), stderr: text('stderr') });
      else reject(toolError(call, event || `was ended by ${signal}`, text('stderr')));
    });
    // A tool that fails early does not read to the end; its status tells why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(call.input ?? '');
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // It has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function toolError(call: ToolCall, event: string, complaint: string): AmbitError {
  const text = complaint.trim().slice(0, TOOL_COMPLAINT_CHARS_MAX);
  const command = [call.tool, ...call.args].join(' ').slice(0, TOOL_COMPLAINT_CHARS_MAX);
  return new AmbitError('REDIRECT_TOOL', `${command} ${event}${text === '' ? '' : `: ${text}`}`, {
    side: 'internal',
    retry: 'safe',
    hint: hintFor(text),
  });
}

function hintFor(complaint: string): string {
  if (/not permitted|permission denied|must be root/i.test(complaint)) {
    return 'Run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN.';
  }
  if (/xtables lock/i.test(complaint))
    return 'Another program changes iptables rules all the time: find it, or try again.';
  if (/^nsenter:/.test(complaint)) return 'The network namespace has gone or is none: enrol the pod anew.';
  if (/no chain\/target\/match|extension|does not exist|not supported|No such file/i.test(complaint)) {
    return 'This kernel or tool lacks what the rule needs: load the module that it names, or use the other mechanism.';
  }
  return 'Run the same command by hand in the namespace of the pod, with "nsenter --net=", to see it fail.';
}
