/**
 * The DNS proxy as a pod meets it: in its namespace, behind redirection of port 53, asked by `dig` and by Node's own
 * resolver, with a nameserver that only marked packets reach. Needs root, ip, nft and dig.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';
import { seededRng } from '@ambit/base/rng';
import type { DnsRules, NameIndex } from '@ambit/model/dns-lookup';
import { parseIpAddress } from '@ambit/model/ip-address';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { copy } from '@ambit/net/copy';
import type { Connection } from '@ambit/net/engine';
import { createReactor, ReactorDatagrams } from '@ambit/net/reactor';
import { bindDatagram, connectDatagram, sendDatagram } from '@ambit/platform/datagram';
import { openNamespace } from '@ambit/platform/namespace';
import { bindSocket, closeDescriptor, listenSocket, openSocket } from '@ambit/platform/socket';
import { type DnsQueryRecord, DnsServer, Forwarder, resolveName } from '@ambit/ztunnel/dns';
import { acceptSocks5 } from '@ambit/ztunnel/socks5';

const run = promisify(execFile);
const POD = `ambit-dns-${process.pid}`;
const NAMESERVER = '10.96.0.10';
const MARK = 0x539;
const RULES: DnsRules = { clusterDomain: 'cluster.local', preferredNamespace: null, ipv6Enabled: true };
const CLIENT = { name: 'client', namespace: 'shop', network: '' } as unknown as Workload;

const SERVICES = [
  service('web.shop.svc.cluster.local', ['10.96.0.1', 'fd00::1']),
  service(
    'many.shop.svc.cluster.local',
    Array.from({ length: 60 }, (_, i) => `10.97.0.${i + 1}`),
  ),
];
const INDEX: NameIndex = {
  servicesByHostname: (hostname) => SERVICES.filter((each) => each.hostname === hostname),
  endpoints: () => [],
};

function service(hostname: string, addresses: readonly string[]): Service {
  const vips = addresses.map((each) => ({ network: '', ip: parseIpAddress(each)! }));
  const rest = { namespace: 'shop', visibility: 'public', canonical: false, ipFamilies: 'automatic' };
  return { hostname, vips, ...rest } as unknown as Service;
}

const ANSWERS: ReadonlyMap<number, Uint8Array> = new Map([
  [1, Uint8Array.of(203, 0, 113, 7)],
  [16, Buffer.from('\rfrom upstream')],
]);

/** Knows the A and TXT records of one name, and what it was asked. Written by hand, as no code of the proxy. */
function upstreamAnswer(query: Buffer): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const name = labels.join('.');
  asked.push(`${type} ${name}`);
  const isKnown = name.toLowerCase() === 'www.example.com';
  const data = isKnown ? ANSWERS.get(type) : undefined;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(isKnown ? 0x8500 : 0x8503, 2);
  header.set([0, 1, 0, data === undefined ? 0 : 1, 0, 0, 0, 0], 4);
  const parts = [header, query.subarray(12, at + 5)];
  if (data !== undefined) parts.push(Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]));
  return Buffer.concat(parts);
}

const reactor = createReactor();
const datagrams = new ReactorDatagrams(reactor, { onFault: (thrown) => faults.push(thrown) });
const faults: unknown[] = [];
const asked: string[] = [];
const records: DnsQueryRecord[] = [];
/** Of the proxy, which are closed last. */
const descriptors: number[] = [];
let server: DnsServer;
let stopUpstream: () => void;

function inPod(command: string, ...args: string[]): string {
  return execFileSync('ip', ['netns', 'exec', POD, command, ...args], { encoding: 'utf8' });
}

/** While the proxy, in this process, goes on. */
async function dig(...args: string[]): Promise<string> {
  const options = ['+tries=1', '+time=5', '+nocookie'];
  return (await run('ip', ['netns', 'exec', POD, 'dig', ...options, ...args])).stdout;
}

function listenTcp(ip: string, port: number, namespaceFd: number): number {
  const fd = openSocket({ family: ip.includes(':') ? 6 : 4, type: 'stream', namespaceFd });
  descriptors.push(fd);
  bindSocket(fd, ip, port);
  listenSocket(fd, 128);
  return fd;
}

function listenUdp(ip: string, port: number, namespaceFd: number): number {
  const fd = bindDatagram({ ip, port, namespaceFd });
  descriptors.push(fd);
  return fd;
}

function startUpstream(namespaceFd: number): () => void {
  const at = { ip: NAMESERVER, port: 53 };
  const socket = datagrams.bindDatagram(
    { ...at, fd: listenUdp(at.ip, at.port, namespaceFd) },
    {
      onDatagram: (bytes, offset, length, from) => {
        const answer = upstreamAnswer(Buffer.from(bytes.slice(offset, offset + length)));
        socket.send(answer, 0, answer.length, from);
      },
      onError: () => {},
    },
  );
  const listener = reactor.listen({ ...at, fd: listenTcp(at.ip, at.port, namespaceFd) }, (connection) => {
    let message = Buffer.alloc(0);
    connection.receive({
      creditBytes: () => 1000,
      onData: (bytes, offset, length) => {
        message = Buffer.concat([message, bytes.slice(offset, offset + length)]);
        if (message.length < 2 || message.length < 2 + message.readUInt16BE(0)) return;
        const answer = upstreamAnswer(message.subarray(2));
        const framed = Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]);
        connection.write(framed, 0, framed.length);
      },
      onEnd: () => connection.end(),
      onWritable: () => {},
      onClose: () => {},
    });
  });
  const own = descriptors.splice(0);
  return () => {
    socket.close();
    listener.close();
    for (const fd of own) closeDescriptor(fd);
  };
}

function startProxy(namespaceFd: number): DnsServer {
  const options = { nameservers: [{ ip: NAMESERVER, port: 53 }], timeoutMs: 500, attempts: 2, namespaceFd, mark: MARK };
  const forwarder = new Forwarder(options, { engine: reactor, datagrams, randomId: () => randomInt(65_536) });
  const deps = { engine: reactor, datagrams, index: INDEX, client: () => CLIENT, forwarder, rng: seededRng(1) };
  const proxy = new DnsServer(
    { rules: RULES, searchDomains: null },
    { ...deps, onQuery: (record) => records.push(record) },
  );
  for (const ip of ['127.0.0.1', '::1']) {
    proxy.listenUdp({ ip, port: 15_053, fd: listenUdp(ip, 15_053, namespaceFd) });
    proxy.listenTcp({ ip, port: 15_053, fd: listenTcp(ip, 15_053, namespaceFd) });
  }
  return proxy;
}

before(() => {
  execFileSync('ip', ['netns', 'add', POD]);
  inPod('ip', 'link', 'set', 'lo', 'up');
  inPod('ip', 'address', 'add', `${NAMESERVER}/32`, 'dev', 'lo');
  inPod('nft', 'add table ip dns');
  inPod('nft', 'add chain ip dns output { type nat hook output priority -100; }');
  inPod('nft', `add rule ip dns output meta mark ${MARK} return`);
  inPod('nft', 'add rule ip dns output udp dport 53 redirect to :15053');
  inPod('nft', 'add rule ip dns output tcp dport 53 redirect to :15053');
  const namespaceFd = openNamespace(`/run/netns/${POD}`);
  stopUpstream = startUpstream(namespaceFd);
  descriptors.push(namespaceFd);
  server = startProxy(namespaceFd);
});

after(async () => {
  server?.close();
  stopUpstream?.();
  for (const fd of descriptors) closeDescriptor(fd);
  await reactor.close();
  spawnSync('ip', ['netns', 'del', POD]);
  assert.deepEqual(faults, []);
});

for (const protocol of ['+notcp', '+tcp']) {
  test(`dig ${protocol} is answered for a service, with authority and an alias where a search domain was stripped`, async () => {
    assert.equal(await dig(`@${NAMESERVER}`, protocol, '+short', 'web.shop'), '10.96.0.1\n');
    assert.equal(await dig(`@${NAMESERVER}`, protocol, '+short', 'web', 'AAAA'), 'fd00::1\n');
    const whole = await dig(`@${NAMESERVER}`, protocol, 'Web.Shop.shop.svc.cluster.local');
    assert.match(whole, /status: NOERROR/);
    assert.match(whole, /flags: qr aa rd ra; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 1/);
    assert.match(whole, /^Web\.Shop\.shop\.svc\.cluster\.local\.\s+30\s+IN\s+CNAME\s+Web\.Shop\.$/m);
    assert.match(whole, /^Web\.Shop\.\s+30\s+IN\s+A\s+10\.96\.0\.1$/m);
    assert.doesNotMatch(whole, /malformed|mismatch|unexpected/i);
  });

  test(`dig ${protocol} is forwarded what is not of the mesh, past redirection`, async () => {
    asked.length = 0;
    const whole = await dig(`@${NAMESERVER}`, protocol, 'wWw.eXample.com');
    assert.match(whole, /status: NOERROR/);
    assert.match(whole, /flags: qr rd ra;/);
    assert.match(whole, /^wWw\.eXample\.com\.\s+60\s+IN\s+A\s+203\.0\.113\.7$/m);
    assert.match(await dig(`@${NAMESERVER}`, protocol, '+short', 'www.example.com', 'TXT'), /"from upstream"/);
    assert.match(await dig(`@${NAMESERVER}`, protocol, 'nothing.example.com'), /status: NXDOMAIN/);
    assert.deepEqual(asked, ['1 wWw.eXample.com', '16 www.example.com', '1 nothing.example.com']);
    assert.deepEqual(
      records.slice(-3).map(({ type, result, endpoints }) => `${type} ${result} ${endpoints}`),
      ['A forwarded 1', 'TXT forwarded 1', 'A forwarded 0'],
    );
  });
}

test('over IPv6 the proxy answers too', async () => {
  assert.equal(await dig('@::1', '-p', '15053', '+short', 'web.shop.svc'), '10.96.0.1\n');
  assert.equal(await dig('@::1', '-p', '15053', '+tcp', '+short', 'www.example.com'), '203.0.113.7\n');
});

test('EDNS is echoed: version, DO, and a payload of at least 512', async () => {
  const whole = await dig(`@${NAMESERVER}`, '+bufsize=1232', '+dnssec', 'web');
  assert.match(whole, /EDNS: version: 0, flags: do; udp: 1232/);
  assert.match(await dig(`@${NAMESERVER}`, '+bufsize=100', 'web'), /EDNS: version: 0, flags:; udp: 512/);
  assert.doesNotMatch(await dig(`@${NAMESERVER}`, '+noedns', 'web'), /EDNS/);
});

test('a long answer is cut over UDP, and dig comes back over TCP for the whole', async () => {
  const cut = await dig(`@${NAMESERVER}`, '+noedns', '+ignore', 'many');
  assert.match(cut, /flags: qr aa tc rd ra; QUERY: 1, ANSWER: 30,/);
  assert.match(await dig(`@${NAMESERVER}`, '+noedns', 'many'), /Truncated, retrying in TCP[\s\S]*ANSWER: 60,/);
  assert.match(await dig(`@${NAMESERVER}`, '+bufsize=1232', '+ignore', 'many'), /flags: qr aa rd ra;.*ANSWER: 60,/);
});

test('dig keeps its TCP connection for several questions', async () => {
  const both = await dig(`@${NAMESERVER}`, '+tcp', '+keepopen', '+short', 'web', 'www.example.com');
  assert.equal(both, '10.96.0.1\n203.0.113.7\n');
});

test('the resolver of Node gets the same', async () => {
  const script = `
    import { Resolver } from 'node:dns/promises';
    const resolver = new Resolver();
    resolver.setServers(['${NAMESERVER}']);
    const found = [await resolver.resolve4('web.shop', { ttl: true }), await resolver.resolve6('web.shop')];
    found.push((await resolver.resolve4('many')).length, await resolver.resolve4('www.example.com'));
    found.push(await resolver.resolve4('gone.example.com').catch((error) => error.code));
    found.push(await resolver.resolveCname('web.shop').catch((error) => error.code));
    console.log(JSON.stringify(found));`;
  const { stdout } = await run('ip', ['netns', 'exec', POD, process.execPath, '--input-type=module', '-e', script]);
  assert.deepEqual(JSON.parse(stdout), [
    [{ address: '10.96.0.1', ttl: 30 }],
    ['fd00::1'],
    60,
    ['203.0.113.7'],
    'ENOTFOUND',
    'ENOTFOUND',
  ]);
});

test('garbage by the thousand leaves it answering', async () => {
  const namespaceFd = openNamespace(`/run/netns/${POD}`);
  const fd = connectDatagram({ ip: '127.0.0.1', port: 15_053, namespaceFd });
  const rng = seededRng(79);
  for (let i = 0; i < 5000; i += 1) {
    const bytes = rng.bytes(rng.integer(200));
    sendDatagram(fd, bytes, 0, bytes.length, null);
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await dig(`@${NAMESERVER}`, '+short', 'web.shop'), '10.96.0.1\n');
  assert.ok(server.counters.dropped > 100, `${server.counters.dropped} dropped`);
  closeDescriptor(fd);
  closeDescriptor(namespaceFd);
});

test('curl is led to a service by name, through SOCKS5', async () => {
  const web = createServer((_request, response) => response.end('Hello from web\n')).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const targets: string[] = [];
  const proceed = (client: Connection, target: { ip: string; port: number }): void => {
    targets.push(`${target.ip}:${target.port}`);
    client.receive({
      creditBytes: () => 0,
      onData: () => {},
      onEnd: () => {},
      onWritable: () => {},
      onClose: () => {},
    });
    reactor.connect(
      { ip: '127.0.0.1', port },
      { onOpen: (upstream) => copy(client, upstream, { onDone: () => {} }), onFail: (error) => client.abort(error) },
    );
  };
  const resolve = resolveName.bind(null, server);
  const listener = reactor.listen({ ip: '127.0.0.1', port: 0 }, (connection) =>
    acceptSocks5(connection, { engine: reactor, resolve, proceed }),
  );
  try {
    const proxy = `127.0.0.1:${listener.address.port}`;
    const { stdout } = await run('curl', ['-sS', '--socks5-hostname', proxy, 'http://web.shop/']);
    assert.equal(stdout, 'Hello from web\n');
    await run('curl', ['-sS', '--socks5', proxy, 'http://10.1.2.3:8080/']);
    assert.deepEqual(targets, ['10.96.0.1:80', '10.1.2.3:8080']);
    const failed = await run('curl', ['-sS', '--socks5-hostname', proxy, 'http://gone.example/']).catch(
      (error) => error,
    );
    assert.match(
      failed.stderr,
      /cannot complete SOCKS5 connection to gone\.example\. \(4\)|Can't complete SOCKS5 connection to gone\.example\. \(4\)/i,
    );
  } finally {
    listener.close();
    web.close();
  }
});

test('without its nameserver it fails what it cannot know and answers what it can', async () => {
  stopUpstream();
  stopUpstream = () => {};
  const whole = await dig(`@${NAMESERVER}`, 'www.example.com');
  assert.match(whole, /status: SERVFAIL/);
  assert.match(await dig(`@${NAMESERVER}`, '+tcp', 'www.example.com'), /status: SERVFAIL/);
  assert.equal(await dig(`@${NAMESERVER}`, '+short', 'web'), '10.96.0.1\n');
  assert.ok(server.counters.of('A', 'udp').upstreamFailures >= 1);
});
