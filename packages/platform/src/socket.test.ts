import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import test from 'node:test';
import { EAGAIN, ECONNREFUSED, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { Region } from './region.ts';
import { accepted, eventually } from './socket.fixture.ts';
import * as socket from './socket.ts';

const region = Region.map(4096);

/** A listener on a free port of `ip`, and what closes it. */
function listening(ip: string, port = 0): number {
  const fd = socket.openSocket({ family: ip.includes(':') ? 6 : 4, type: 'stream' });
  socket.bindSocket(fd, ip, port);
  socket.listenSocket(fd, 16);
  return fd;
}

for (const ip of ['127.0.0.1', '::1']) {
  test(`connects, accepts and names both ends over ${ip}`, async () => {
    const listener = listening(ip);
    const { port } = socket.localAddress(listener);
    const client = socket.openSocket({ family: ip === '::1' ? 6 : 4, type: 'stream' });
    assert.equal(socket.connectSocket(client, ip, port), 0);
    const server = await accepted(listener);
    assert.equal(socket.takeSocketError(client), 0);
    assert.deepEqual(socket.remoteAddress(client), { ip, port });
    assert.deepEqual(socket.remoteAddress(server), socket.localAddress(client));
    for (const fd of [client, server, listener]) socket.closeDescriptor(fd);
  });
}

test('an IPv6 listener that takes IPv4 sees IPv4 peers as IPv4', async () => {
  const listener = socket.openSocket({ family: 6, type: 'stream' });
  socket.setV6Only(listener, false);
  socket.bindSocket(listener, '::', 0);
  socket.listenSocket(listener, 4);
  const client = socket.openSocket({ family: 4, type: 'stream' });
  assert.equal(socket.connectSocket(client, '127.0.0.1', socket.localAddress(listener).port), 0);
  const server = await accepted(listener);
  assert.equal(socket.remoteAddress(server).ip, '127.0.0.1');
  assert.equal(socket.localAddress(server).ip, '127.0.0.1');
  for (const fd of [client, server, listener]) socket.closeDescriptor(fd);
});

test('a refused connection is told by connectSocket or, once known, by takeSocketError, and only once', async () => {
  const listener = listening('127.0.0.1');
  const { port } = socket.localAddress(listener);
  socket.closeDescriptor(listener);
  const client = socket.openSocket({ family: 4, type: 'stream' });
  const errno = socket.connectSocket(client, '127.0.0.1', port);
  assert.equal(await eventually(() => errno || socket.takeSocketError(client) || null), ECONNREFUSED);
  assert.equal(socket.takeSocketError(client), 0);
  socket.closeDescriptor(client);
});

test('every kind of descriptor is close-on-exec and non-blocking', async () => {
  const listener = listening('127.0.0.1');
  const client = socket.openSocket({ family: 4, type: 'stream' });
  socket.connectSocket(client, '127.0.0.1', socket.localAddress(listener).port);
  const { readFd, writeFd } = socket.pipe();
  const datagram = socket.openSocket({ family: 6, type: 'datagram' });
  const fds = [listener, client, await accepted(listener), readFd, writeFd, datagram, socket.eventfd()];
  const [getDescriptorFlags, getStatusFlags] = [1, 3];
  for (const fd of fds) {
    assert.equal(
      libc.fcntl(fd, getDescriptorFlags, 0) & 1,
      1,
      `close-on-exec of ${readlinkSync(`/proc/self/fd/${fd}`)}`,
    );
    assert.equal(libc.fcntl(fd, getStatusFlags, 0) & 0o4000, 0o4000, 'non-blocking');
  }
  const links = fds.map((fd) => readlinkSync(`/proc/self/fd/${fd}`));
  const child = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  assert.equal(child.status, 0);
  for (const link of links.filter((name) => !name.startsWith('anon_inode'))) {
    assert.ok(!child.stdout.includes(link), `${link} stays with us`);
  }
  assert.ok(!child.stdout.includes('eventfd'));
  for (const fd of fds) socket.closeDescriptor(fd);
});

test('options are taken by the kernel', () => {
  const fd = socket.openSocket({ family: 4, type: 'stream', mark: 0x539 });
  const read = (level: number, option: number) => {
    region.view.setUint32(8, 4, true);
    assert.equal(libc.getsockopt(fd, level, option, region.at(0, 4), region.at(8, 4)), 0);
    return region.view.getInt32(0, true);
  };
  socket.setNoDelay(fd);
  socket.setReuseAddress(fd);
  socket.setReusePort(fd);
  socket.setTransparent(fd, 4);
  socket.setKeepalive(fd, { idleS: 180, intervalS: 170, count: 9 });
  socket.setBufferBytes(fd, { sendBytes: 40_000, receiveBytes: 50_000 });
  assert.equal(read(1, 36), 0x539, 'SO_MARK');
  assert.equal(read(6, 1), 1, 'TCP_NODELAY');
  assert.equal(read(1, 2), 1, 'SO_REUSEADDR');
  assert.equal(read(1, 15), 1, 'SO_REUSEPORT');
  assert.equal(read(0, 19), 1, 'IP_TRANSPARENT');
  assert.equal(read(0, 15), 1, 'IP_FREEBIND');
  assert.deepEqual([read(1, 9), read(6, 4), read(6, 5), read(6, 6)], [1, 180, 170, 9]);
  assert.deepEqual([read(1, 7), read(1, 8)], [80_000, 100_000], 'the kernel doubles');
  socket.closeDescriptor(fd);
});

for (const [family, ip] of [
  [4, '198.51.100.7'],
  [6, '2001:db8::7'],
] as const) {
  test(`a transparent IPv${family} socket may be bound to a stranger's address, another may not`, () => {
    const plain = socket.openSocket({ family, type: 'stream' });
    assert.throws(() => socket.bindSocket(plain, ip, 0), { errnoName: 'EADDRNOTAVAIL' });
    const transparent = socket.openSocket({ family, type: 'stream' });
    socket.setTransparent(transparent, family);
    socket.bindSocket(transparent, ip, 0);
    assert.equal(socket.localAddress(transparent).ip, ip);
    socket.closeDescriptor(plain);
    socket.closeDescriptor(transparent);
  });
}

test('a taken port is reported with the call, the address, the errno and what to do', () => {
  const first = listening('127.0.0.1');
  const { port } = socket.localAddress(first);
  const second = socket.openSocket({ family: 4, type: 'stream' });
  assert.throws(
    () => socket.bindSocket(second, '127.0.0.1', port),
    (error) => {
      assert.ok(error instanceof socket.SystemCallError);
      assert.equal(error.message, `bind 127.0.0.1:${port}: EADDRINUSE address already in use`);
      assert.equal(error.code, 'SYSTEM_CALL');
      assert.match(error.hint ?? '', /another port/);
      return true;
    },
  );
  socket.closeDescriptor(first);
  socket.closeDescriptor(second);
});

test('a linger reset makes the peer see a reset, a write shutdown makes it see an end', async () => {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const outcomes: string[] = [];
  for (const how of ['reset', 'end'] as const) {
    const peer = new Promise<string>((resolve) => {
      server.once('connection', (stream) => {
        stream.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
        stream.once('end', () => resolve('end')).resume();
      });
    });
    const fd = socket.openSocket({ family: 4, type: 'stream' });
    socket.connectSocket(fd, '127.0.0.1', port);
    while (libc.write(fd, region.at(0, 1), 1) < 0) assert.equal(lastErrno(), EAGAIN);
    if (how === 'reset') socket.setLingerReset(fd);
    else assert.equal(socket.shutdownWrite(fd), 0);
    if (how === 'reset') socket.closeDescriptor(fd);
    outcomes.push(await peer);
    if (how === 'end') socket.closeDescriptor(fd);
  }
  server.close();
  assert.deepEqual(outcomes, ['ECONNRESET', 'end']);
});

test('running out of descriptors is -EMFILE for accept and an error with a hint elsewhere', async () => {
  const program = `
    import { libc } from '@ambit/platform/ffi';
    import { Region } from '@ambit/platform/region';
    import * as s from '@ambit/platform/socket';
        const l = s.openSocket({ family: 4, type: 'stream' });
    s.bindSocket(l, '127.0.0.1', 0); s.listenSocket(l, 4);
    const c = s.openSocket({ family: 4, type: 'stream' });
    s.connectSocket(c, '127.0.0.1', s.localAddress(l).port);
    while (libc.write(c, Region.map(4096).address, 1) < 0) await sleep(1);
    let hint; try { for (;;) s.eventfd(); } catch (e) { hint = e.errnoName + ' ' + e.hint; }
    const accepted = s.acceptSocket(l);
    process.stdout.write(JSON.stringify({ hint, accepted }));`;
  const run = spawnSync(
    'sh',
    ['-c', 'ulimit -n 128; exec "$0" --input-type=module -e "$1"', process.execPath, program],
    {
      cwd: import.meta.dirname,
      encoding: 'utf8',
    },
  );
  assert.equal(run.stderr, '');
  const { hint, accepted } = JSON.parse(run.stdout);
  assert.match(hint, /^EMFILE .*ulimit/);
  assert.equal(accepted, -24);
});

test('a descriptor closed twice is a fault of ours, not a silent close of a stranger', () => {
  const fd = socket.eventfd();
  socket.closeDescriptor(fd);
  assert.throws(() => socket.closeDescriptor(fd), /is closed once/);
});

test('a pipe carries bytes and an eventfd counts', () => {
  const { readFd, writeFd } = socket.pipe();
  region.bytes.set([1, 2, 3]);
  assert.equal(libc.write(writeFd, region.at(0, 3), 3), 3);
  assert.equal(libc.read(readFd, region.at(16, 8), 8), 3);
  assert.deepEqual([...region.bytes.subarray(16, 19)], [1, 2, 3]);
  const wake = socket.eventfd();
  assert.equal(libc.read(wake, region.at(0, 8), 8), -1);
  assert.equal(lastErrno(), EAGAIN);
  region.view.setBigUint64(0, 5n, true);
  assert.equal(libc.write(wake, region.at(0, 8), 8), 8);
  assert.equal(libc.read(wake, region.at(8, 8), 8), 8);
  assert.equal(region.view.getBigUint64(8, true), 5n);
  for (const fd of [readFd, writeFd, wake]) socket.closeDescriptor(fd);
});

test('a datagram socket binds like any other', () => {
  const fd = socket.openSocket({ family: 6, type: 'datagram' });
  socket.bindSocket(fd, '::1', 0);
  assert.ok(socket.localAddress(fd).port > 0);
  socket.closeDescriptor(fd);
});

test('a peer that is node itself is reached as well', async () => {
  const listener = listening('127.0.0.1');
  const client = connect(socket.localAddress(listener).port, '127.0.0.1');
  const fd = await accepted(listener);
  assert.equal(socket.remoteAddress(fd).port, client.localPort);
  client.destroy();
  socket.closeDescriptor(fd);
  socket.closeDescriptor(listener);
});
