import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { EAGAIN, EMSGSIZE, EPIPE } from './errno.ts';
import { libc } from './ffi.ts';
import { RECORD_BYTES_MAX, RECORD_FDS_MAX } from './limits.ts';
import { withTestNamespace } from './namespace.fixture.ts';
import { isNetworkNamespace, namespaceIdentity, openNamespace } from './namespace.ts';
import { Region } from './region.ts';
import {
  connectSeqpacket,
  listenSeqpacket,
  type ReceivedRecord,
  receiveRecord,
  sendRecord,
  socketPair,
} from './seqpacket.ts';
import { eventually } from './socket.fixture.ts';
import * as socket from './socket.ts';

const region = Region.map(2 * RECORD_BYTES_MAX);
const bytes = (text: string) => Buffer.from(text);

function send(fd: number, text: string, fds: readonly number[] = []): number {
  return sendRecord(fd, bytes(text), 0, bytes(text).length, fds);
}

function receive(fd: number, fdsMax = 4, lengthMax = 4096): ReceivedRecord & { text: string } {
  const record = receiveRecord(fd, region, 0, lengthMax, fdsMax);
  if (typeof record === 'number') assert.fail(`receiveRecord gave ${record}`);
  return { ...record, text: Buffer.from(region.bytes.subarray(0, record.length)).toString() };
}

function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Runs `use` with a pair, and checks that nothing stays open afterwards. */
async function withPair(use: (a: number, b: number) => void | Promise<void>): Promise<void> {
  const before = descriptorCount();
  const [a, b] = socketPair();
  try {
    await use(a, b);
  } finally {
    socket.closeDescriptor(a);
    socket.closeDescriptor(b);
  }
  assert.equal(descriptorCount(), before, 'no descriptor stays');
}

test('records keep their boundaries, and none is EAGAIN', () =>
  withPair((a, b) => {
    assert.equal(send(a, 'one'), 3);
    assert.equal(send(a, 'second'), 6);
    assert.equal(receive(b).text, 'one');
    assert.equal(receive(b).text, 'second');
    assert.equal(receiveRecord(b, region, 0, 16, 0), -EAGAIN);
  }));

test('the largest record passes whole, and a larger one is refused before it is sent', () =>
  withPair((a, b) => {
    const record = Buffer.alloc(RECORD_BYTES_MAX + 1, 7);
    assert.equal(sendRecord(a, record, 1, RECORD_BYTES_MAX, []), RECORD_BYTES_MAX);
    const received = receive(b, 0, RECORD_BYTES_MAX);
    assert.deepEqual([received.length, received.violation], [RECORD_BYTES_MAX, null]);
    assert.equal(sendRecord(a, record, 0, RECORD_BYTES_MAX + 1, []), -EMSGSIZE);
  }));

test('the end reads as length 0, and writing to it is EPIPE, not a signal', async () => {
  const [a, b] = socketPair();
  socket.closeDescriptor(a);
  assert.deepEqual(receiveRecord(b, region, 0, 16, 1), { length: 0, fds: [], violation: null });
  assert.equal(send(b, 'late'), -EPIPE);
  socket.closeDescriptor(b);
});

test('a full queue is EAGAIN', () =>
  withPair((a, b) => {
    let sent = 0;
    let result = 0;
    while (result >= 0 && sent < 10_000) {
      result = send(a, 'x'.repeat(1000));
      sent++;
    }
    assert.equal(result, -EAGAIN);
    assert.equal(receive(b).length, 1000);
  }));

test('passed descriptors are the same files, close-on-exec, in order', () =>
  withPair((a, b) => {
    const { readFd, writeFd } = socket.pipe();
    assert.equal(send(a, 'pipe', [readFd, writeFd]), 4);
    const { fds, violation } = receive(b);
    assert.equal(violation, null);
    assert.equal(fds.length, 2);
    for (const [i, original] of [readFd, writeFd].entries()) {
      const passed = fds[i] as number;
      assert.notEqual(passed, original);
      assert.equal(readlinkSync(`/proc/self/fd/${passed}`), readlinkSync(`/proc/self/fd/${original}`));
      assert.equal(libc.fcntl(passed, 1, 0) & 1, 1);
    }
    for (const fd of [readFd, writeFd, ...fds]) socket.closeDescriptor(fd);
  }));

for (const [given, allowed] of [
  [1, 0],
  [2, 1],
  [5, 4],
  [RECORD_FDS_MAX, 1],
] as const) {
  test(`${given} descriptors where ${allowed} may come are all closed, and the next record is whole`, () =>
    withPair((a, b) => {
      const own = Array.from({ length: given }, () => socket.eventfd());
      send(a, 'greedy', own);
      send(a, 'next', own.slice(0, allowed));
      const before = descriptorCount();
      assert.deepEqual(receiveRecord(b, region, 0, 64, allowed), {
        length: 6,
        fds: [],
        violation: 'too many descriptors',
      });
      assert.equal(descriptorCount(), before);
      const next = receive(b, allowed);
      assert.deepEqual([next.text, next.fds.length, next.violation], ['next', allowed, null]);
      for (const fd of [...own, ...next.fds]) socket.closeDescriptor(fd);
    }));
}

test('as many descriptors as the kernel allows pass', () =>
  withPair((a, b) => {
    const own = Array.from({ length: RECORD_FDS_MAX }, () => socket.eventfd());
    assert.equal(send(a, 'all', own), 3);
    const { fds, violation } = receive(b, RECORD_FDS_MAX);
    assert.deepEqual([fds.length, violation], [RECORD_FDS_MAX, null]);
    for (const fd of [...own, ...fds]) socket.closeDescriptor(fd);
  }));

test('a record longer than its room is refused with its descriptors closed', () =>
  withPair((a, b) => {
    const own = socket.eventfd();
    send(a, 'too long', [own]);
    const before = descriptorCount();
    const { fds, violation } = receive(b, 1, 3);
    assert.deepEqual({ fds, violation }, { fds: [], violation: 'longer than the room for it' });
    assert.equal(descriptorCount(), before);
    socket.closeDescriptor(own);
  }));

test('when the receiver has no descriptors left the record is a violation, not a shorter list', async () => {
  const program = `
    import { Region } from '@ambit/platform/region';
    import { receiveRecord, sendRecord, socketPair } from '@ambit/platform/seqpacket';
    import * as socket from '@ambit/platform/socket';
    const [a, b] = socketPair();
    const region = Region.map(4096);
    const own = [];
    try { for (;;) own.push(socket.eventfd()); } catch {}
    sendRecord(a, Buffer.from('x'), 0, 1, own.slice(0, 3));
    socket.closeDescriptor(own.pop());
    const record = receiveRecord(b, region, 0, 16, 4);
    socket.eventfd(); // the one that did fit was closed again
    process.stdout.write(JSON.stringify(record));`;
  const node = [process.execPath, '--input-type=module', '-e', program];
  const run = spawnSync('sh', ['-c', 'ulimit -n 128; exec "$@"', 'sh', ...node], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  assert.equal(run.stderr, '');
  assert.deepEqual(JSON.parse(run.stdout), { length: 1, fds: [], violation: 'too many descriptors' });
});

test('a listener and a namespace pass to another process, which gets nothing else', async () => {
  await withTestNamespace(async ({ path }) => {
    const namespaceFd = openNamespace(path);
    const listener = socket.openSocket({ family: 4, type: 'stream' });
    socket.bindSocket(listener, '127.0.0.1', 0);
    socket.listenSocket(listener, 4);
    const [ours, theirs] = socketPair();
    const program = `
      import { readdirSync, readlinkSync } from 'node:fs';
      import { namespaceIdentity } from '@ambit/platform/namespace';
      import { Region } from '@ambit/platform/region';
      import { receiveRecord, sendRecord } from '@ambit/platform/seqpacket';
      import * as socket from '@ambit/platform/socket';
      const sockets = readdirSync('/proc/self/fd').flatMap((fd) => {
        try { return Number(fd) > 2 && /^(socket|net):/.test(readlinkSync('/proc/self/fd/' + fd)) ? [Number(fd)] : []; } catch { return []; }
      });
      const wait = () => new Promise((resolve) => setTimeout(resolve, 1));
      const region = Region.map(4096);
      let record;
      while (typeof (record = receiveRecord(3, region, 0, 4096, 2)) === 'number') await wait();
      const [listener, namespaceFd] = record.fds;
      let fd;
      while ((fd = socket.acceptSocket(listener)) < 0) await wait();
      const inside = socket.openSocket({ family: 4, type: 'stream', namespaceFd });
      const answer = Buffer.from(JSON.stringify({ sockets, peer: socket.remoteAddress(fd), ...namespaceIdentity(namespaceFd) }));
      sendRecord(3, answer, 0, answer.length, [inside]);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'ignore', 'inherit', theirs],
    });
    socket.closeDescriptor(theirs);
    send(ours, 'take', [listener, namespaceFd]);
    const client = connect(socket.localAddress(listener).port, '127.0.0.1');
    client.on('error', () => undefined);
    const answer = await eventually(() => {
      const record = receiveRecord(ours, region, 0, 4096, 1);
      return typeof record === 'number' ? null : record;
    });
    const said = JSON.parse(Buffer.from(region.bytes.subarray(0, answer.length)).toString());
    assert.deepEqual(said.sockets, [3], 'of our sockets and namespaces the child was given one');
    assert.deepEqual(said.peer, { ip: '127.0.0.1', port: client.localPort });
    assert.deepEqual({ inode: said.inode, device: said.device }, namespaceIdentity(namespaceFd));
    assert.equal(isNetworkNamespace(namespaceFd), true);
    client.destroy();
    child.kill();
    for (const fd of [namespaceFd, listener, ours, ...answer.fds]) socket.closeDescriptor(fd);
  });
});

test('a plain child sees only what it was given', () => {
  const list = (...given: number[]) =>
    spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore', ...given] })
      .stdout.split('\n')
      .filter((name) => Number(name) < 64);
  const before = list();
  const mine = [...socketPair(), socket.eventfd(), ...Object.values(socket.pipe())];
  assert.ok(
    mine.every((fd) => fd < 64),
    'where the listing looks',
  );
  assert.deepEqual(list(), before);
  assert.equal(list(mine[0] as number).length, before.length + 1);
  for (const fd of mine) socket.closeDescriptor(fd);
});

async function withDirectory(use: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-seqpacket-'));
  try {
    await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a path is listened on by its owner alone, connected to and accepted from', () =>
  withDirectory((directory) => {
    const path = join(directory, 'zds.sock');
    const listener = listenSeqpacket(path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const client = connectSeqpacket(path);
    const server = socket.acceptSocket(listener);
    assert.ok(server > 0);
    send(client, 'hello');
    assert.equal(receive(server).text, 'hello');
    for (const fd of [server, client, listener]) socket.closeDescriptor(fd);
  }));

test('what a crashed run left at the path is replaced, a living listener and an ordinary file are not', () =>
  withDirectory((directory) => {
    const path = join(directory, 'zds.sock');
    socket.closeDescriptor(listenSeqpacket(path));
    assert.throws(() => connectSeqpacket(path), { errnoName: 'ECONNREFUSED' });
    const living = listenSeqpacket(path);
    assert.throws(() => listenSeqpacket(path), { errnoName: 'EADDRINUSE' });
    const client = connectSeqpacket(path);
    for (const fd of [client, living]) socket.closeDescriptor(fd);
    const file = join(directory, 'file');
    writeFileSync(file, 'kept');
    assert.throws(() => listenSeqpacket(file), { errnoName: 'EADDRINUSE' });
    assert.equal(readFileSync(file, 'utf8'), 'kept');
    assert.throws(() => listenSeqpacket(join(directory, 'absent', 'x.sock')), { errnoName: 'ENOENT' });
    assert.throws(() => listenSeqpacket(join(directory, 'x'.repeat(120))), /socket path has/);
  }));
