import assert from 'node:assert/strict';
import test from 'node:test';
import { bindDatagram, connectDatagram, datagramSource, receiveDatagram, sendDatagram } from './datagram.ts';
import { EAGAIN, ECONNREFUSED, EMSGSIZE } from './errno.ts';
import { withTestNamespace } from './namespace.fixture.ts';
import { openNamespace } from './namespace.ts';
import { Region } from './region.ts';
import { eventually } from './socket.fixture.ts';
import { closeDescriptor, localAddress, SystemCallError } from './socket.ts';

const region = Region.map(4096);
const hello = new TextEncoder().encode('..hello..');

function received(fd: number, lengthMax = 4096): Promise<number> {
  return eventually(() => {
    const length = receiveDatagram(fd, region, 0, lengthMax);
    return length === -EAGAIN ? null : length;
  });
}

function textOf(length: number): string {
  return new TextDecoder().decode(region.bytes.slice(0, length));
}

for (const ip of ['127.0.0.1', '::1']) {
  test(`a datagram goes to ${ip} and its answer back to who sent it`, async () => {
    const server = bindDatagram({ ip, port: 0 });
    const client = connectDatagram({ ip, port: localAddress(server).port });
    try {
      assert.equal(receiveDatagram(server, region, 0, 4096), -EAGAIN);
      assert.equal(sendDatagram(client, hello, 2, 5, null), 5);
      assert.equal(textOf(await received(server)), 'hello');
      const from = datagramSource();
      assert.deepEqual(from, localAddress(client));
      assert.equal(sendDatagram(server, hello, 0, 9, from), 9);
      assert.equal(textOf(await received(client)), '..hello..');
    } finally {
      closeDescriptor(server);
      closeDescriptor(client);
    }
  });
}

test('a connected socket takes nothing from strangers and hears that its peer is not there', async () => {
  const [server, stranger] = [bindDatagram({ ip: '127.0.0.1', port: 0 }), bindDatagram({ ip: '127.0.0.1', port: 0 })];
  const client = connectDatagram({ ip: '127.0.0.1', port: localAddress(server).port });
  try {
    assert.equal(sendDatagram(stranger, hello, 0, 3, localAddress(client)), 3);
    assert.equal(sendDatagram(server, hello, 0, 4, localAddress(client)), 4);
    assert.equal(await received(client), 4);
    assert.equal(receiveDatagram(client, region, 0, 4096), -EAGAIN);
  } finally {
    closeDescriptor(server);
    closeDescriptor(stranger);
  }
  assert.equal(sendDatagram(client, hello, 0, 1, null), 1);
  assert.equal(await received(client), -ECONNREFUSED);
  closeDescriptor(client);
});

test('what is too long is cut off when taken and refused when sent', async () => {
  const server = bindDatagram({ ip: '127.0.0.1', port: 0 });
  const client = connectDatagram({ ip: '127.0.0.1', port: localAddress(server).port });
  try {
    sendDatagram(client, hello, 0, 9, null);
    assert.equal(await received(server, 4), 4);
    assert.equal(receiveDatagram(server, region, 0, 4096), -EAGAIN);
    assert.equal(sendDatagram(client, new Uint8Array(65_535), 0, 65_535, null), -EMSGSIZE);
    assert.throws(() => sendDatagram(client, hello, 5, 5, null), /within its bytes/);
    assert.throws(() => receiveDatagram(server, region, 4000, 97), /inside its region/);
  } finally {
    closeDescriptor(server);
    closeDescriptor(client);
  }
});

test('an address in use or of another host is told, and nothing stays open', () => {
  const port = 0;
  const first = bindDatagram({ ip: '127.0.0.1', port });
  const used = localAddress(first).port;
  const isCalled = (name: string) => (error: unknown) => error instanceof SystemCallError && error.errnoName === name;
  assert.throws(() => bindDatagram({ ip: '127.0.0.1', port: used }), isCalled('EADDRINUSE'));
  assert.throws(() => bindDatagram({ ip: '192.0.2.1', port }), isCalled('EADDRNOTAVAIL'));
  closeDescriptor(first);
  const [one, other] = [0, 1].map(() => bindDatagram({ ip: '127.0.0.1', port: used, reusePort: true }));
  closeDescriptor(one!);
  closeDescriptor(other!);
});

test('sockets are made in a namespace, with a mark', async () => {
  await withTestNamespace(async ({ path, run }) => {
    const namespaceFd = openNamespace(path);
    const server = bindDatagram({ ip: '127.0.0.1', port: 15_053, namespaceFd });
    const client = connectDatagram({ ip: '127.0.0.1', port: 15_053, namespaceFd, mark: 0x539 });
    try {
      assert.equal(sendDatagram(client, hello, 0, 2, null), 2);
      assert.equal(await received(server), 2);
      assert.match(run('ss', '-uanme'), /127\.0\.0\.1:15053[\s\S]*fwmark:0x539/);
    } finally {
      for (const fd of [namespaceFd, server, client]) closeDescriptor(fd);
    }
  });
});
