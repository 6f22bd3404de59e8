/**
 * Agent and proxy together, in namespaces that the test makes: a running pod is captured and let go without being
 * touched, what others break is repaired, and what a killed agent leaves is taken over or removed. Needs root, ip, nft.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createNodeAgent, type NodeAgent, type PodToEnrol } from '@ambit/agent/node-agent';
import { silentLog } from '@ambit/base/log';
import { seededRng } from '@ambit/base/rng';
import { createReactor } from '@ambit/net/reactor';
import { originalDestination } from '@ambit/platform/original-destination';
import { acceptSocket, bindSocket, closeDescriptor, listenSocket, openSocket } from '@ambit/platform/socket';
import { type HostedPod, type PodHost, ZdsClient } from '@ambit/ztunnel/zds';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REDIRECT = { ipv6: true, dnsCapture: true };
const OUTBOUND = 15_001;

const reactor = createReactor();
after(() => reactor.close());

interface Pod extends PodToEnrol {
  run(command: string): string;
}

/** Listens where a proxy would, with the descriptor of the namespace that came over ZDS. */
class ListeningHost implements PodHost {
  readonly listeners = new Map<string, number>();
  readonly stops: string[] = [];

  start({ uid, namespaceFd }: HostedPod): Promise<void> {
    const fd = openSocket({ family: 6, type: 'stream', namespaceFd });
    bindSocket(fd, '::', OUTBOUND);
    listenSocket(fd, 16);
    this.listeners.set(uid, fd);
    return Promise.resolve();
  }

  stop(uid: string, mode: string): Promise<void> {
    closeDescriptor(this.listeners.get(uid) as number);
    this.listeners.delete(uid);
    this.stops.push(`${uid} ${mode}`);
    return Promise.resolve();
  }

  /** Where the next captured call of a pod meant to go, if there is one. */
  captured(uid: string): string[] {
    const fd = acceptSocket(this.listeners.get(uid) as number);
    if (fd < 0) return [];
    const { ip, port } = originalDestination(fd);
    closeDescriptor(fd);
    return [`${ip}:${port}`];
  }
}

interface World {
  readonly pods: readonly [Pod, Pod];
  readonly directory: string;
  readonly host: ListeningHost;
  agent(): NodeAgent;
  /** A proxy, connected and ready. */
  proxy(): Promise<ZdsClient>;
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-node-agent-'));
  const names = [1, 2].map((n) => `ambit-agent-${process.pid}-${counter++}-${n}`);
  const agents: NodeAgent[] = [];
  const clients: ZdsClient[] = [];
  const host = new ListeningHost();
  const log = silentLog;
  const path = join(directory, 'zds.sock');
  const agent = (): NodeAgent => {
    const made = createNodeAgent({
      reactor,
      socketPath: path,
      stateFilePath: join(directory, 'enrolled.json'),
      log,
      redirection: { mechanism: 'nftables' },
    });
    agents.push(made);
    return made;
  };
  const proxy = async (): Promise<ZdsClient> => {
    const client = new ZdsClient({ reactor, path, host, log, rng: seededRng(1) });
    clients.push(client);
    client.start();
    await until(() => client.ready, 'a proxy that is ready');
    return client;
  };
  try {
    const pods = names.map((name, i) => makePod(name, `uid-${i + 1}`, `10.88.0.${i + 1}`)) as [Pod, Pod];
    await use({ pods, directory, host, agent, proxy });
  } finally {
    for (const client of clients) await client.close();
    for (const { enrolment } of agents) await enrolment.close();
    for (const name of names) run('ip', 'netns', 'del', name);
    rmSync(directory, { recursive: true });
  }
}

let counter = 0;

function makePod(name: string, uid: string, ip: string): Pod {
  run('ip', 'netns', 'add', name);
  const inside = (command: string): string => run('ip', 'netns', 'exec', name, 'sh', '-c', command);
  inside(`ip link set lo up && ip link add eth0 type veth peer name far && ip link set eth0 up && ip link set far up &&
    ip addr add ${ip}/24 dev eth0 && ip route add default via 10.88.0.254`);
  const [namespacePath, ips] = [`/run/netns/${name}`, [ip]];
  return { uid, name, namespace: 'm', serviceAccount: 's', ips, namespacePath, redirect: REDIRECT, run: inside };
}

/** What of ours is in a namespace: empty when it was never meshed. */
function traces(pod: Pod): string {
  return pod
    .run('nft list ruleset; ip rule; ip -6 rule; ip route show table 100 2>&1; true')
    .split('\n')
    .filter(isOurs)
    .join('\n');
}

function isOurs(line: string): boolean {
  return /ambit|32764|fwmark|local default|15001/.test(line);
}

/** A call from the pod to somewhere that does not exist, by a program that knows nothing of the mesh. */
async function assertCaptured(pod: Pod, host: ListeningHost): Promise<void> {
  const caller = spawn('ip', ['netns', 'exec', pod.name, 'bash', '-c', 'exec 3<>/dev/tcp/203.0.113.7/443'], {
    stdio: 'ignore',
  });
  try {
    const meant: string[] = [];
    await until(() => {
      meant.push(...host.captured(pod.uid));
      return meant.length > 0;
    }, 'a captured call');
    assert.deepEqual(meant, ['203.0.113.7:443']);
  } finally {
    caller.kill('SIGKILL');
  }
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 4000, `${what} never came`);
    await sleep(5);
  }
}

test('a running pod is captured, repaired when somebody flushes its rules, and let go without a trace', async () => {
  await withWorld(async ({ pods: [pod, other], host, agent, proxy }) => {
    const { enrolment, server } = agent();
    await enrolment.start([]);
    const client = await proxy();
    assert.equal(traces(pod), '');
    assert.deepEqual(await enrolment.enrol(pod), { is: 'done' });
    assert.equal(server.hasTold(pod.uid), true);
    assert.match(traces(pod), /redirect to :15001/);
    assert.match(traces(pod), /32764.*fwmark/);
    await assertCaptured(pod, host);

    pod.run('nft flush ruleset; ip rule del pref 32764');
    await enrolment.verify(pod.uid);
    assert.equal(enrolment.counters.rulesRepaired, 1);
    await assertCaptured(pod, host);

    assert.equal(traces(other), '');
    await enrolment.unenrol(pod.uid);
    assert.equal(traces(pod), '');
    await until(() => host.stops.length === 1, 'the stop');
    assert.deepEqual(host.stops, ['uid-1 drain']);
    assert.equal(client.ready, true);
  });
});

test('a pod is not enrolled in the namespace of another, nor in that of the node', async () => {
  await withWorld(async ({ pods: [pod, other], agent }) => {
    const { enrolment } = agent();
    const wrong = enrolment.enrol({ ...pod, namespacePath: other.namespacePath });
    await assert.rejects(wrong, {
      code: 'POD_ADDRESS_MISMATCH',
      message: /uid-1 is 10.88.0.1, its namespace has 10.88.0.2/,
    });
    const node = enrolment.enrol({ ...pod, namespacePath: '/proc/self/ns/net' });
    await assert.rejects(node, { code: 'POD_HOST_NETWORK' });
    assert.equal(traces(other), '');
  });
});

test('what a killed agent leaves is taken over where it is wanted and removed where it is not; proxies run on', async () => {
  await withWorld(async ({ pods: [pod, other], directory, host, agent, proxy }) => {
    const killed = await startAgentProcess(directory, [pod, other]);
    const client = await proxy();
    assert.deepEqual([...host.listeners.keys()].toSorted(), ['uid-1', 'uid-2']);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    await until(() => !client.ready, 'the loss');
    assert.match(traces(other), /15001/);
    assert.deepEqual(host.stops, []);
    await assertCaptured(pod, host);

    const { enrolment } = agent();
    const report = await enrolment.start([pod]);
    assert.deepEqual(report, { enrolled: ['uid-1'], failed: [] });
    assert.equal(enrolment.counters.cleaned, 1);
    assert.equal(traces(other), '');
    await until(() => client.ready, 'readiness again');
    assert.deepEqual(host.stops, ['uid-2 immediate']);
    await assertCaptured(pod, host);
    assert.equal(client.counters.connected, 2);
  });
});

/** Another agent on the same files, in a process of its own that is ready when it has enrolled these pods. */
async function startAgentProcess(directory: string, pods: readonly PodToEnrol[]): Promise<ChildProcess> {
  const script = `
    import { createNodeAgent } from '@ambit/agent/node-agent';
    import { silentLog } from '@ambit/base/log';
    import { createReactor } from '@ambit/net/reactor';
    const { enrolment } = createNodeAgent({
      reactor: createReactor(),
      socketPath: ${JSON.stringify(join(directory, 'zds.sock'))},
      stateFilePath: ${JSON.stringify(join(directory, 'enrolled.json'))},
      log: silentLog,
      redirection: { mechanism: 'nftables' },
    });
    await enrolment.start(${JSON.stringify(pods)});
    process.stdout.write('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  const [text] = await once(child.stdout, 'data');
  assert.equal(String(text), 'ready');
  return child;
}
