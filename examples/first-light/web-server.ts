/** An ordinary web server that knows nothing of a mesh: nginx where it is installed, else a few lines of node:http. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reactor } from '@ambit/net/reactor';
import { findProgram, start } from './command.ts';
import { fetchPlain } from './plain-client.ts';
import { inPod, type Stage } from './stage.ts';

/** What the wire must not carry in the clear. */
export const PAGE = 'Plain words that anybody on the wire could read.\n';
export const WEB_PORT = 80;
const START_TIMEOUT_MS = 10_000;

export interface WebServer {
  readonly name: string;
  stop(): Promise<void>;
}

export async function startWebServer(stage: Stage, reactor: Reactor): Promise<WebServer> {
  const nginx = findProgram('nginx');
  const [name, command] = nginx === null ? nodeServer() : nginxServer(nginx, stage.directory);
  const child = start(inPod(stage.web, ...command));
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = text;
  });
  const server = { name, stop: () => stop(child) };
  try {
    await untilServing(stage, reactor, child);
  } catch (error) {
    await server.stop();
    throw new Error(`${name} did not start: ${complaint.trim()}`, { cause: error });
  }
  return server;
}

function nginxServer(nginx: string, directory: string): [string, string[]] {
  writeFileSync(join(directory, 'index.html'), PAGE);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(directory, kind)};`,
  );
  const config = join(directory, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${join(directory, 'nginx.pid')}; error_log stderr;
events {}
http { access_log off; ${temporary.join(' ')} server { listen ${WEB_PORT}; root ${directory}; } }
`,
  );
  return ['nginx', [nginx, '-e', 'stderr', '-p', directory, '-c', config]];
}

function nodeServer(): [string, string[]] {
  const script = `require('node:http').createServer((_, answer) => answer.end(${JSON.stringify(PAGE)})).listen(${WEB_PORT})`;
  return ['node:http', [process.execPath, '--input-type=commonjs', '-e', script]];
}

async function untilServing({ web }: Stage, reactor: Reactor, child: ChildProcess): Promise<void> {
  const endMs = reactor.nowMs() + START_TIMEOUT_MS;
  let error: unknown;
  while (child.exitCode === null && reactor.nowMs() < endMs) {
    try {
      await fetchPlain(reactor, { ip: web.ip, port: WEB_PORT, namespaceFd: web.namespaceFd });
      return;
    } catch (thrown) {
      error = thrown;
    }
    await sleep(20);
  }
  throw error ?? new Error('it ended');
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
