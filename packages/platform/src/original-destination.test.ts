import assert from 'node:assert/strict';
import test from 'node:test';
import { type TestNamespace, withTestNamespace } from './namespace.fixture.ts';
import { openNamespace } from './namespace.ts';
import { originalDestination } from './original-destination.ts';
import { accepted } from './socket.fixture.ts';
import * as socket from './socket.ts';

const REDIRECT = `
table inet ambit_test {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 192.0.2.0/24 tcp dport 80 redirect to :15001
    ip6 daddr 2001:db8:1::/64 tcp dport 80 redirect to :15001
  }
}`;

function redirecting(namespace: TestNamespace): void {
  namespace.run('ip', 'route', 'add', 'local', '198.51.100.0/24', 'dev', 'lo');
  namespace.run('ip', 'route', 'add', '192.0.2.0/24', 'dev', 'lo');
  namespace.run('ip', '-6', 'addr', 'add', '2001:db8:2::1/64', 'dev', 'lo', 'nodad');
  namespace.run('ip', '-6', 'route', 'add', '2001:db8:1::/64', 'dev', 'lo');
  namespace.run('nft', REDIRECT);
}

interface Case {
  readonly title: string;
  readonly listen: string;
  readonly dial: readonly [string, number];
  readonly expected: { ip: string; port: number };
}

const CASES: readonly Case[] = [
  {
    title: 'IPv4 to an IPv4 listener',
    listen: '0.0.0.0',
    dial: ['192.0.2.10', 80],
    expected: { ip: '192.0.2.10', port: 80 },
  },
  {
    title: 'IPv4 to a listener for both, as ztunnel has',
    listen: '::',
    dial: ['192.0.2.11', 80],
    expected: { ip: '192.0.2.11', port: 80 },
  },
  {
    title: 'IPv6',
    listen: '::',
    dial: ['2001:db8:1::10', 80],
    expected: { ip: '2001:db8:1::10', port: 80 },
  },
  {
    title: 'IPv4 that was not redirected',
    listen: '::',
    dial: ['127.0.0.1', 15_001],
    expected: { ip: '127.0.0.1', port: 15_001 },
  },
  {
    title: 'IPv6 that was not redirected',
    listen: '::',
    dial: ['2001:db8:2::1', 15_001],
    expected: { ip: '2001:db8:2::1', port: 15_001 },
  },
];

for (const { title, listen, dial, expected } of CASES) {
  test(`the original destination is found for ${title}`, async () => {
    await withTestNamespace(async (namespace) => {
      redirecting(namespace);
      const namespaceFd = openNamespace(namespace.path);
      const listener = socket.openSocket({ family: listen === '::' ? 6 : 4, type: 'stream', namespaceFd });
      if (listen === '::') socket.setV6Only(listener, false);
      socket.bindSocket(listener, listen, 15_001);
      socket.listenSocket(listener, 4);
      const client = socket.openSocket({ family: dial[0].includes(':') ? 6 : 4, type: 'stream', namespaceFd });
      assert.equal(socket.connectSocket(client, ...dial), 0);
      const server = await accepted(listener);
      assert.deepEqual(originalDestination(server), expected);
      for (const fd of [server, client, listener, namespaceFd]) socket.closeDescriptor(fd);
    });
  });
}

test('without any redirection in the system the local address is the answer', async () => {
  await withTestNamespace(async ({ path }) => {
    const namespaceFd = openNamespace(path);
    const listener = socket.openSocket({ family: 4, type: 'stream', namespaceFd });
    socket.bindSocket(listener, '127.0.0.1', 0);
    socket.listenSocket(listener, 1);
    const client = socket.openSocket({ family: 4, type: 'stream', namespaceFd });
    const { port } = socket.localAddress(listener);
    socket.connectSocket(client, '127.0.0.1', port);
    const server = await accepted(listener);
    assert.deepEqual(originalDestination(server), { ip: '127.0.0.1', port });
    for (const fd of [server, client, listener, namespaceFd]) socket.closeDescriptor(fd);
  });
});
