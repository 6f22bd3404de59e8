/** Both sides of ZDS against each other over a real socket: whatever happens on the way, the proxy ends with the agent's pods. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ZdsServer } from '@ambit/agent/node-agent';
import { silentLog } from '@ambit/base/log';
import { type Rng, seededRng } from '@ambit/base/rng';
import { createReactor } from '@ambit/net/reactor';
import { type HostedPod, type PodHost, ZdsClient } from '@ambit/ztunnel/zds';

const directory = mkdtempSync(join(tmpdir(), 'ambit-zds-'));
const reactor = createReactor();
after(async () => {
  await reactor.close();
  rmSync(directory, { recursive: true });
});

/** Files stand in for namespaces: both sides compare inode and device and pass descriptors on. */
class Agent {
  readonly #path: string;
  readonly #pods = new Map<string, { readonly file: string; readonly fd: number }>();
  #server: ZdsServer;

  constructor(path: string) {
    this.#path = path;
    this.#server = this.#listen();
  }

  /** `uid file` of every pod. */
  get wanted(): string[] {
    return [...this.#pods].map(([uid, { file }]) => `${uid} ${file}`).toSorted();
  }

  get server(): ZdsServer {
    return this.#server;
  }

  put(uid: string, file: string): void {
    this.#close(uid);
    this.#pods.set(uid, { file, fd: openSync(join(directory, file), 'a') });
    void this.#server.add(uid);
  }

  delete(uid: string): void {
    this.#close(uid);
    this.#pods.delete(uid);
    void this.#server.remove(uid);
  }

  restart(): void {
    this.#server.close();
    this.#server = this.#listen();
  }

  close(): void {
    this.#server.close();
    for (const uid of [...this.#pods.keys()]) this.delete(uid);
  }

  #close(uid: string): void {
    const fd = this.#pods.get(uid)?.fd;
    if (fd !== undefined) closeSync(fd);
  }

  #listen(): ZdsServer {
    const pods = {
      get: (uid: string) => {
        const pod = this.#pods.get(uid);
        return pod && { uid, name: uid, namespace: 'm', serviceAccount: 's', namespaceFd: pod.fd };
      },
      uids: () => [...this.#pods.keys()],
    };
    const limits = { connectionsPerSecond: 1000 };
    const server = new ZdsServer({ reactor, path: this.#path, pods, log: silentLog, limits });
    server.listen();
    return server;
  }
}

/** Slow, and now and then it fails. */
class UnreliableHost implements PodHost {
  readonly #rng: Rng;
  readonly #running = new Map<string, string>();
  reliable = false;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  get running(): string[] {
    return [...this.#running].map(([uid, file]) => `${uid} ${file}`).toSorted();
  }

  async start({ uid, namespaceFd }: HostedPod): Promise<void> {
    assert.equal(this.#running.has(uid), false, 'a pod is not started twice');
    await sleep(this.#rng.integer(3));
    if (!this.reliable && this.#rng.integer(4) === 0) throw new Error('not this time');
    this.#running.set(uid, readlinkSync(`/proc/self/fd/${namespaceFd}`).slice(directory.length + 1));
  }

  async stop(uid: string): Promise<void> {
    assert.equal(this.#running.has(uid), true, 'a pod that does not run is not stopped');
    await sleep(this.#rng.integer(3));
    this.#running.delete(uid);
  }
}

for (const seed of [1, 2, 3, 4]) {
  test(`pods that come, go and move while agent and proxy fail end up as the agent has them (seed ${seed})`, async () => {
    const rng = seededRng(seed);
    const path = join(directory, `socket-${seed}`);
    const agent = new Agent(path);
    const host = new UnreliableHost(rng);
    const limits = { reconnectMinMs: 1, reconnectMaxMs: 5, retryMs: 10 };
    const client = new ZdsClient({ reactor, path, host, log: silentLog, rng, limits });
    client.start();
    for (let step = 0; step < 150; step += 1) {
      const uid = `pod-${rng.integer(8)}`;
      const act = rng.integer(20);
      if (act < 8) agent.put(uid, `${uid}-net-${rng.integer(2)}`);
      else if (act < 13) agent.delete(uid);
      else if (act === 13) agent.restart();
      else await sleep(rng.integer(4));
    }
    host.reliable = true;
    agent.restart();
    await until(() => client.ready && agent.wanted.join() === host.running.join(), 'agreement');
    assert.ok(client.counters.connected > 1, 'connections were lost on the way');
    assert.deepEqual([client.counters.protocolErrors, client.counters.malformed], [0, 0]);
    assert.equal(agent.server.counters.faults, 0);
    await client.close();
    agent.close();
    assert.deepEqual(host.running, []);
    assert.deepEqual(openFiles(), [], 'no descriptor is left');
  });
}

test('two hundred pods that come at once are all taken, and a second proxy takes over from the first', async () => {
  const path = join(directory, 'many');
  const agent = new Agent(path);
  const proxies = [1, 2].map((seed) => {
    const host = new UnreliableHost(seededRng(seed));
    host.reliable = true;
    return { host, client: new ZdsClient({ reactor, path, host, log: silentLog, rng: seededRng(seed) }) };
  });
  const [older, newer] = proxies as [(typeof proxies)[0], (typeof proxies)[0]];
  older.client.start();
  await until(() => older.client.ready, 'the older proxy');
  for (let i = 0; i < 200; i += 1) agent.put(`pod-${i}`, `net-${i}`);
  await until(() => older.host.running.length === 200, 'all pods');
  newer.client.start();
  await until(() => newer.client.ready, 'the newer proxy');
  assert.deepEqual(newer.host.running, agent.wanted);
  agent.put('late', 'net-late');
  agent.delete('pod-7');
  await until(
    () => newer.host.running.join() === agent.wanted.join() && older.host.running.length === 199,
    'the changes',
  );
  assert.equal(older.host.running.includes('late net-late'), false);
  await older.client.close();
  await newer.client.close();
  agent.close();
  assert.deepEqual(openFiles(), []);
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(`${directory}/`) && target.includes('net-') ? [target] : [];
    } catch {
      return [];
    }
  });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 5000, `${what} never came`);
    await sleep(2);
  }
}
