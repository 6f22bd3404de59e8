/** The call that the story is about: curl where it is installed, else node's own client, both unaware of any mesh. */
import { findProgram, run } from './command.ts';
import { inPod, type Pod } from './stage.ts';

export interface CallResult {
  /** As a person would type it. */
  readonly command: string;
  readonly status: number;
  readonly body: string;
  readonly latencyMs: number;
}

const TIMEOUT_S = 10;

export async function callFrom(pod: Pod, url: string): Promise<CallResult> {
  const curl = findProgram('curl');
  const command = curl === null ? nodeClient(url) : curlClient(curl, url);
  const output = await run(inPod(pod, ...command));
  const at = output.lastIndexOf('\n');
  const [status, seconds] = output.slice(at + 1).split(' ');
  const words = curl === null ? `node -e 'fetch("${url}")'` : `curl ${url}`;
  return { command: words, status: Number(status), body: output.slice(0, at), latencyMs: Number(seconds) * 1000 };
}

function curlClient(curl: string, url: string): string[] {
  const format = '\\n%{http_code} %{time_total}';
  return [curl, '--silent', '--show-error', '--noproxy', '*', '--max-time', String(TIMEOUT_S), '-w', format, url];
}

function nodeClient(url: string): string[] {
  const script = `const start = performance.now();
    const answer = await fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(${TIMEOUT_S * 1000}) });
    const body = await answer.text();
    process.stdout.write(body + '\\n' + answer.status + ' ' + (performance.now() - start) / 1000);`;
  return [process.execPath, '--input-type=module', '-e', script];
}
