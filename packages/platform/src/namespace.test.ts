import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, openSync, statSync } from 'node:fs';
import test from 'node:test';
import { withTestNamespace } from './namespace.fixture.ts';
import { isNetworkNamespace, namespaceIdentity, openNamespace, withinNamespace } from './namespace.ts';
import { accepted } from './socket.fixture.ts';
import * as socket from './socket.ts';

const own = () => statSync('/proc/thread-self/ns/net').ino;

test('a socket made in a namespace stays there, and this thread does not', async () => {
  await withTestNamespace(async ({ path }) => {
    const before = own();
    const namespaceFd = openNamespace(path);
    const inside = socket.openSocket({ family: 4, type: 'stream', namespaceFd });
    assert.equal(own(), before);
    const outside = socket.openSocket({ family: 4, type: 'stream' });
    socket.bindSocket(outside, '127.0.0.1', 0);
    const { port } = socket.localAddress(outside);
    socket.bindSocket(inside, '127.0.0.1', port);
    socket.listenSocket(inside, 4);
    const client = socket.openSocket({ family: 4, type: 'stream', namespaceFd });
    assert.equal(socket.connectSocket(client, '127.0.0.1', port), 0);
    const server = await accepted(inside);
    for (const fd of [namespaceFd, inside, outside, client, server]) socket.closeDescriptor(fd);
  });
});

test('an action that throws comes back as well', async () => {
  await withTestNamespace(({ path }) => {
    const before = own();
    const namespaceFd = openNamespace(path);
    assert.throws(() => withinNamespace(namespaceFd, () => assert.fail('within')), /within/);
    assert.equal(own(), before);
    assert.equal(
      withinNamespace(namespaceFd, () => own() === before),
      false,
      'and the next one enters again',
    );
    assert.throws(() => withinNamespace(namespaceFd, () => withinNamespace(namespaceFd, () => 0)), /one another/);
    assert.equal(own(), before);
    socket.closeDescriptor(namespaceFd);
  });
});

test('identity tells the same namespace from another, however it was opened', async () => {
  await withTestNamespace(({ path }) => {
    const fds = [openNamespace(path), openNamespace(path), openNamespace(process.pid)];
    const [a, b, mine] = fds.map(namespaceIdentity);
    assert.deepEqual(a, b);
    assert.notEqual(a?.inode, mine?.inode);
    assert.equal(mine?.inode, own());
    for (const fd of fds) socket.closeDescriptor(fd);
  });
});

test('what is no network namespace is told apart and not entered', () => {
  const [mount, file, network] = [
    openNamespace('/proc/self/ns/mnt'),
    openSync('/dev/null', 'r'),
    openNamespace(process.pid),
  ];
  assert.deepEqual([mount, file, network].map(isNetworkNamespace), [false, false, true]);
  for (const fd of [mount, file]) {
    assert.throws(() => withinNamespace(fd, () => assert.fail('entered')), { errnoName: 'EINVAL', call: 'setns' });
  }
  assert.throws(() => openNamespace('/run/netns/ambit-absent'), { errnoName: 'ENOENT' });
  for (const fd of [mount, file, network]) socket.closeDescriptor(fd);
});

test('a namespace lives as long as a descriptor of it', async () => {
  let fd = -1;
  await withTestNamespace(({ path }) => {
    fd = openNamespace(path);
  });
  const inside = socket.openSocket({ family: 4, type: 'stream', namespaceFd: fd });
  socket.bindSocket(inside, '127.0.0.1', 0);
  for (const each of [inside, fd]) socket.closeDescriptor(each);
});

test('a process that cannot come back says so in one sentence and ends', async () => {
  await withTestNamespace(({ path }) => {
    // The way back is the first descriptor of our own namespace that withinNamespace opened: take it away meanwhile.
    const program = `
      import { readdirSync, readlinkSync } from 'node:fs';
      import { libc } from '@ambit/platform/ffi';
      import { openNamespace, withinNamespace } from '@ambit/platform/namespace';
      const fd = openNamespace(${JSON.stringify(path)});
      const own = readlinkSync('/proc/thread-self/ns/net');
      withinNamespace(fd, () => {
        for (const name of readdirSync('/proc/self/fd')) {
          try { if (readlinkSync('/proc/self/fd/' + name) === own) libc.close(Number(name)); } catch {}
        }
      });
      console.log('went on');`;
    const node = [process.execPath, '--input-type=module', '-e', program];
    const run = spawnSync('sh', ['-c', 'ulimit -c 0; exec "$@"', 'sh', ...node], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
    });
    assert.equal(run.signal, 'SIGABRT');
    assert.equal(run.stdout, '');
    assert.match(
      run.stderr,
      /^ambit: stopping, because the way back to its own network namespace failed \(EBADF\)\.\n/,
    );
  });
});

test('tests leave no namespace behind', async () => {
  let path = '';
  await withTestNamespace((namespace) => {
    path = namespace.path;
    assert.ok(existsSync(path));
  });
  assert.ok(!existsSync(path));
});
