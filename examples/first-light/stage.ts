/**
 * The stage: two network namespaces joined by a veth pair, and a folder for files. Its name carries our process id, so
 * that what a crashed run left behind can be told from what a running one uses.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openNamespace } from '@ambit/platform/namespace';
import { closeDescriptor } from '@ambit/platform/socket';
import { run } from './command.ts';

const PREFIX = 'ambit-first-light-';
const NAMESPACES = '/run/netns';
export const INTERFACE = 'eth0';

export interface Pod {
  readonly name: string;
  readonly ip: string;
  readonly namespace: string;
  readonly namespacePath: string;
  readonly namespaceFd: number;
}

export interface Stage {
  readonly client: Pod;
  readonly web: Pod;
  readonly directory: string;
}

/** Starts a command in a pod. */
export function inPod(pod: Pick<Pod, 'namespace'>, ...command: string[]): readonly string[] {
  return ['ip', 'netns', 'exec', pod.namespace, ...command];
}

export async function buildStage(): Promise<Stage> {
  await removeLeftovers();
  const directory = join(tmpdir(), `${PREFIX}${process.pid}`);
  mkdirSync(directory, { mode: 0o700 });
  const client = await makePod('client', '10.77.0.1');
  const web = await makePod('web', '10.77.0.2');
  const peer = ['peer', 'name', INTERFACE, 'netns', web.namespace];
  await run(['ip', 'link', 'add', INTERFACE, 'netns', client.namespace, 'type', 'veth', ...peer]);
  for (const { namespace, ip } of [client, web]) {
    await run(['ip', '-n', namespace, 'address', 'add', `${ip}/24`, 'dev', INTERFACE]);
    for (const device of ['lo', INTERFACE]) await run(['ip', '-n', namespace, 'link', 'set', device, 'up']);
  }
  return { client, web, directory };
}

/** Also of a stage that was built halfway. */
export async function removeStage(stage: Stage | null): Promise<void> {
  if (stage !== null) for (const pod of [stage.client, stage.web]) closeDescriptor(pod.namespaceFd);
  await removeOf(process.pid);
}

async function makePod(name: string, ip: string): Promise<Pod> {
  const namespace = `${PREFIX}${process.pid}-${name}`;
  const namespacePath = join(NAMESPACES, namespace);
  await run(['ip', 'netns', 'add', namespace]);
  return { name, ip, namespace, namespacePath, namespaceFd: openNamespace(namespacePath) };
}

/** Of runs whose process is gone. */
async function removeLeftovers(): Promise<void> {
  const names = [...list(NAMESPACES), ...list(tmpdir())].filter((name) => name.startsWith(PREFIX));
  const pids = new Set(names.map((name) => Number.parseInt(name.slice(PREFIX.length), 10)));
  for (const pid of pids) if (pid === process.pid || !isFirstLight(pid)) await removeOf(pid);
}

async function removeOf(pid: number): Promise<void> {
  const own = (name: string): boolean => name === `${PREFIX}${pid}` || name.startsWith(`${PREFIX}${pid}-`);
  for (const namespace of list(NAMESPACES).filter(own)) {
    const inside = (await run(['ip', 'netns', 'pids', namespace])).split('\n').filter((line) => line !== '');
    for (const each of inside) kill(Number(each));
    await run(['ip', 'netns', 'delete', namespace]);
  }
  for (const name of list(tmpdir()).filter(own)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

/** A process id alone may have gone to another program meanwhile. */
function isFirstLight(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('first-light');
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
