import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { localAddress } from '@ambit/platform/socket';
import { type EchoClient, echo, isAlive, listeningSocket, openEcho, until, withGroup } from './group.fixture.ts';

test('a child killed with -9 is replaced, and no connection that it did not carry fails', async () => {
  await withGroup({ count: 1 }, async ({ group, port, joined, eventsOf }) => {
    const [victim] = group.pids;
    assert.ok(victim !== undefined);
    const carried = await Promise.all([1, 2, 3].map(() => openEcho(port)));
    const carriedEnds = carried.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
    for (const { socket } of carried) socket.on('error', () => {});

    const calls: { startMs: number; endMs: number; pid: number; error: string | null }[] = [];
    let running = true;
    const client = async (): Promise<void> => {
      while (running) {
        const startMs = performance.now();
        let connection: EchoClient | null = null;
        let error: string | null = null;
        try {
          connection = await openEcho(port);
          assert.equal(await echo(connection, 'hello'), 'hello');
        } catch (thrown) {
          error = String(thrown);
        }
        connection?.socket.destroy();
        calls.push({ startMs, endMs: performance.now(), pid: connection?.pid ?? -1, error });
        await sleep(1);
      }
    };
    const clients = [1, 2, 3, 4].map(client);
    await until(() => calls.length > 20, 'the victim carries calls');
    const killedMs = performance.now();
    process.kill(victim, 'SIGKILL');
    await until(() => !isAlive(victim), 'the victim is dead'); // it may still take a call until it is
    const deadMs = performance.now();
    const orphans = [openEcho(port), openEcho(port), openEcho(port)];
    await joined(2);
    const before = calls.length;
    await until(() => calls.length > before + 20, 'the successor carries calls');
    running = false;
    await Promise.all(clients);
    await Promise.all(carriedEnds);

    const [successor] = group.pids;
    assert.notEqual(successor, victim, 'the fault happened');
    const startedMs = eventsOf('child started')[1]?.atMs ?? Number.POSITIVE_INFINITY;
    assert.ok(startedMs - killedMs < 1000, `replaced after ${startedMs - killedMs} ms`);
    const failed = calls.filter(({ error }) => error !== null);
    for (const call of failed) {
      assert.ok(call.startMs <= deadMs && call.endMs >= killedMs, `carried by the dead child: ${JSON.stringify(call)}`);
      assert.doesNotMatch(call.error ?? '', /ECONNREFUSED/);
    }
    for (const { socket, pid } of await Promise.all(orphans)) {
      assert.equal(pid, successor, 'what was made while no child lived waited for the successor');
      socket.destroy();
    }
    assert.ok(calls.filter(({ pid }) => pid === victim).length > 10, 'the victim had carried calls');
  });
});

test('children share a listener: while one is busy the other serves', async () => {
  await withGroup({ count: 2 }, async ({ group, port }) => {
    const busy = await openEcho(port);
    const blocked = echo(busy, 'block 700');
    await sleep(50);
    for (let i = 0; i < 20; i++) {
      const client = await openEcho(port);
      assert.notEqual(client.pid, busy.pid);
      assert.ok(group.pids.includes(client.pid));
      client.socket.destroy();
    }
    assert.equal(await blocked, 'block 700');
    busy.socket.destroy();
  });
});

test('an epoch is applied when every child says so, and a successor has the state before its first connection', async () => {
  await withGroup({ count: 2 }, async ({ group, messages, port, state, joined }) => {
    state.push('one');
    await group.applied(group.broadcast('one'));
    assert.deepEqual(
      messages.map(({ body }) => body),
      [1, 1].map((epoch) => ({ epoch, body: 'one' })),
    );
    assert.deepEqual(new Set(messages.map(({ pid }) => pid)), new Set(group.pids));

    state.push('two');
    const epoch = group.broadcast('two');
    for (const pid of group.pids) process.kill(pid, 'SIGKILL');
    await joined(4);
    await group.applied(epoch);
    const served = await openEcho(port);
    const told = messages.filter(({ pid }) => pid === served.pid).map(({ body }) => body);
    assert.deepEqual(told, [
      { epoch, body: 'one' },
      { epoch, body: 'two' },
    ]);
    served.socket.destroy();
  });
});

test('a removed listener refuses, and one that is added later is served', async () => {
  await withGroup({ count: 1 }, async ({ group, port }) => {
    const fd = listeningSocket();
    const laterPort = localAddress(fd).port;
    group.addListener({ id: 'later', fd, purpose: 'echo' });
    const kept = await openEcho(port);
    group.removeListener('echo');
    await group.applied(group.broadcast('both sides agree'));
    await assert.rejects(openEcho(port), { code: 'ECONNREFUSED' });
    assert.equal(await echo(kept, 'lives on'), 'lives on');
    const later = await openEcho(laterPort);
    for (const { socket } of [kept, later]) socket.destroy();
  });
});

test('closing drains: running connections finish, new ones are refused, nothing is left', async () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const cycle = () =>
    withGroup({ count: 2 }, async ({ group, port, lines }) => {
      const pids = group.pids;
      const client = await openEcho(port);
      let closed = false;
      const closing = group.close({ drainMs: 10_000 }).then(() => {
        closed = true;
      });
      await until(() => lines.filter((line) => line === 'draining').length === 2, 'both children drain');
      await assert.rejects(openEcho(port), { code: 'ECONNREFUSED' });
      assert.equal(await echo(client, 'still here'), 'still here');
      assert.equal(closed, false);
      client.socket.end();
      await closing;
      assert.equal(lines.filter((line) => line === 'drained').length, 2);
      assert.deepEqual(pids.filter(isAlive), []);
    });
  await cycle();
  const before = descriptors();
  await cycle();
  await until(() => descriptors() <= before, 'no descriptor is left behind', 2000);
});

test('a connection that outlasts the drain deadline does not keep the child', async () => {
  await withGroup({ count: 1 }, async ({ group, port }) => {
    const [pid] = group.pids;
    const client = await openEcho(port);
    client.socket.on('error', () => {});
    const end = new Promise((resolve) => client.socket.once('close', resolve));
    await group.close({ drainMs: 100 });
    assert.equal(isAlive(pid ?? 0), false);
    await end;
  });
});
