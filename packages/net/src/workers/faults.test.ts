import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { closeDescriptor, eventfd, pipe } from '@ambit/platform/socket';
import { echo, isAlive, listeningSocket, openEcho, until, withGroup } from './group.fixture.ts';

test('children of a parent that is killed drain and exit by themselves', async () => {
  const parent = spawn(process.execPath, [fileURLToPath(new URL('./parent.fixture.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = await once(parent.stdout, 'data');
  const { pids, port } = JSON.parse(String(text)) as { pids: number[]; port: number };
  assert.equal(pids.filter(isAlive).length, 2);
  const client = await openEcho(port);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await until(() => pids.filter(isAlive).length === 1, 'the idle child has gone', 2000);
  assert.equal(await echo(client, 'finish'), 'finish', 'the other one finishes what it carries');
  client.socket.end();
  await until(() => pids.filter(isAlive).length === 0, 'both have gone', 2000);
});

test('a child whose loop is blocked is killed and replaced', async () => {
  const limits = { pingIntervalMs: 50, pingTimeoutMs: 400 };
  await withGroup({ count: 1, limits }, async ({ group, port, joined, eventsOf }) => {
    const [blocked] = group.pids;
    group.broadcast('block');
    await joined(2);
    assert.match(String(eventsOf('child died')[0]?.fields.how), /SIGKILL: no answer for/);
    assert.equal(isAlive(blocked ?? 0), false);
    const client = await openEcho(port);
    assert.deepEqual([client.pid], group.pids);
    client.socket.destroy();
  });
});

test('a parent that was stopped does not blame its children', async () => {
  const limits = { pingIntervalMs: 50, pingTimeoutMs: 300 };
  await withGroup({ count: 1, limits }, async ({ group, eventsOf }) => {
    const endMs = performance.now() + 900;
    while (performance.now() < endMs);
    await group.applied(group.broadcast('still there'));
    assert.deepEqual(eventsOf('child died'), []);
  });
});

test('a child with too many faults is drained once its successor has joined', async () => {
  await withGroup({ count: 1 }, async ({ group, port, joined, eventsOf, lines }) => {
    const [faulty] = group.pids;
    const kept = await openEcho(port);
    for (let i = 0; i < 3; i++) {
      const client = await openEcho(port);
      await assert.rejects(echo(client, 'fault'));
    }
    await joined(2);
    await until(() => lines.includes('draining'), 'the old one drains');
    assert.match(String(eventsOf('child asks to be replaced')[0]?.fields.reason), /3 handlers threw/);
    assert.equal(await echo(kept, 'kept'), 'kept');
    const fresh = await openEcho(port);
    assert.notEqual(fresh.pid, faulty);
    for (const { socket } of [kept, fresh]) socket.destroy();
    await until(() => !isAlive(faulty ?? 0), 'the old one ends with its last connection');
    assert.deepEqual(eventsOf('child died'), []);
  });
});

test('a successor that dies before it serves is replaced too, and only then the old one drains', async () => {
  await withGroup({ count: 1 }, async ({ group, port, joined, eventsOf }) => {
    const [faulty] = group.pids;
    for (let i = 0; i < 3; i++) await assert.rejects(echo(await openEcho(port), 'fault'));
    await until(() => eventsOf('child started').length === 2, 'a successor is started');
    process.kill(Number(eventsOf('child started')[1]?.fields.child_pid), 'SIGKILL');
    await until(() => eventsOf('child died').length === 1, 'it dies');
    assert.equal(eventsOf('child joined').length, 1, 'it had not joined');
    assert.ok(isAlive(faulty ?? 0), 'the old one serves meanwhile');
    await joined(2);
    await until(() => !isAlive(faulty ?? 0), 'the old one ends');
    const client = await openEcho(port);
    assert.deepEqual(group.pids, [client.pid]);
    client.socket.destroy();
  });
});

test('what a stopped child does not read waits for it, without a listener that is gone meanwhile', async () => {
  await withGroup({ count: 1 }, async ({ group, port, messages, eventsOf }) => {
    const [pid] = group.pids;
    process.kill(pid ?? 0, 'SIGSTOP');
    const bodies = Array.from({ length: 50 }, (_, i) => `${i} ${'x'.repeat(50_000)}`);
    for (const body of bodies) group.broadcast(body);
    const fd = listeningSocket();
    group.addListener({ id: 'short-lived', fd, purpose: 'echo' });
    group.removeListener('short-lived');
    const reused = eventfd();
    assert.equal(reused, fd, 'its number belongs to something else now');
    process.kill(pid ?? 0, 'SIGCONT');
    await group.applied(group.epoch);
    await until(() => messages.length === bodies.length, 'every message has come');
    assert.deepEqual(
      messages.map(({ body }) => body),
      bodies.map((body, i) => ({ epoch: i + 1, body })),
    );
    closeDescriptor(reused);
    const client = await openEcho(port);
    assert.equal(client.pid, pid);
    client.socket.destroy();
    assert.deepEqual([...eventsOf('child died'), ...eventsOf('child asks to be replaced')], []);
  });
});

test('state that a child cannot apply is not reported as applied, and the child is replaced', async () => {
  await withGroup({ count: 1 }, async ({ group, joined, eventsOf }) => {
    const [old] = group.pids;
    const epoch = group.broadcast('refuse');
    let applied = false;
    const promise = group.applied(epoch).then(() => {
      applied = true;
    });
    await until(() => eventsOf('child asks to be replaced').length === 1, 'the child asks');
    assert.equal(applied, false);
    await joined(2);
    await promise;
    assert.equal(isAlive(old ?? 0), false);
  });
});

test('a child that cannot start is retried ever more slowly', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-workers-'));
  try {
    const entry = join(directory, 'broken.mjs');
    writeFileSync(entry, 'throw new Error("broken on purpose")');
    await withGroup({ count: 1, entry: pathToFileURL(entry) }, async ({ eventsOf }) => {
      await until(() => eventsOf('child died').length >= 7, 'it dies seven times');
      const delays = eventsOf('child died').map(({ fields }) => fields.restart_in_ms);
      assert.deepEqual(delays.slice(0, 7), [0, 0, 0, 0, 0, 1000, 2000]);
      const deaths = eventsOf('child died').map(({ atMs }) => atMs);
      assert.ok((deaths[6] ?? 0) - (deaths[5] ?? 0) >= 1000);
      assert.ok(eventsOf('child stderr').some(({ fields }) => /broken on purpose/.test(String(fields.line))));
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a child has the descriptors it was given and those of its runtime, and none of its parent', async () => {
  const made = [eventfd(), eventfd(), ...Object.values(pipe())];
  assert.ok(made.every((fd) => fd > 3));
  let own: string[] = [];
  await withGroup({ count: 2 }, async ({ group, messages, port }) => {
    const clients = await Promise.all([1, 2, 3].map(() => openEcho(port)));
    for (const { socket } of clients) socket.destroy();
    await until(() => clients.every(({ socket }) => socket.closed), 'the clients have gone');
    group.broadcast('descriptors');
    await until(() => messages.length === 2, 'both have told');
    own = messages.map(({ body }) => body as string[]).sort((a, b) => b.length - a.length)[0] ?? [];
  });
  // The control: the same runtime with the same reactor, started by a shell that has nothing to inherit.
  const reactorUrl = new URL('../reactor/index.ts', import.meta.url).href;
  const script = `import { createReactor } from ${JSON.stringify(reactorUrl)};
    import { readdirSync, readlinkSync } from 'node:fs';
    createReactor();
    process.stderr;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const kinds = readdirSync('/proc/self/fd').flatMap((fd) => {
      try { return [fd + ' ' + readlinkSync('/proc/self/fd/' + fd).replace(/:\\[\\d+\\]/, '')]; } catch { return []; }
    });
    process.stdout.write(JSON.stringify(kinds), () => process.exit());`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const kinds = (list: readonly string[]): string[] =>
    list
      .filter((each) => !/^[012] /.test(each))
      .map(kindOf)
      .sort();
  const control = JSON.parse(output) as string[];
  assert.deepEqual(kinds(own), [...kinds(control), 'socket', 'socket'].sort(), 'the channel and one listener are all');
  assert.ok(own.includes('3 socket'));
});

test('a child that floods its log loses lines, says how many, and is not held up', async () => {
  await withGroup({ count: 1 }, async ({ group, lines, eventsOf }) => {
    await group.applied(group.broadcast('log'));
    await until(() => lines.some((line) => /log lines were dropped/.test(line)), 'the loss is told');
    const told = Number(/^\d+/.exec(lines.find((line) => /dropped/.test(line)) ?? '')?.[0]);
    assert.equal(lines.filter((line) => line.startsWith('line ')).length + told, 20_000);
    group.broadcast('complain');
    await until(() => eventsOf('child stderr').length > 0, 'stderr arrives');
    assert.equal(eventsOf('child stderr')[0]?.fields.line, 'a complaint');
    assert.equal(eventsOf('child stderr')[0]?.fields.child_pid, group.pids[0]);
  });
});

test('a message above the cap fails where it is made', async () => {
  await withGroup({ count: 1 }, async ({ group, eventsOf }) => {
    assert.throws(() => group.broadcast('x'.repeat(100_000)), { code: 'WORKER_RECORD_TOO_LARGE' });
    assert.equal(group.epoch, 0);
    group.broadcast('oversize');
    await until(() => eventsOf('child asks to be replaced').length > 0, 'the child says so');
    assert.match(String(eventsOf('child asks to be replaced')[0]?.fields.reason), /exceeds the 61440 bytes/);
  });
});

function kindOf(entry: string): string {
  return entry.slice(entry.indexOf(' ') + 1);
}
