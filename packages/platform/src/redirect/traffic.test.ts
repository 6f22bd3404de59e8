/** Real connections through each mechanism: one table of calls, and where each has to arrive. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { IpFamily, SocketAddress } from '../address.ts';
import type { RedirectOptions } from './options.ts';
import { ping } from './ping.fixture.ts';
import { chooseRedirection, type Redirection, type RedirectionChoice } from './redirector.ts';
import { hostPlan, PROBE_SOURCE, podPlan } from './rules.ts';
import { ADDRESS, type Call, LOOPBACK, OUTSIDE, readText, type World, withWorld, write } from './world.fixture.ts';

const MECHANISMS: readonly RedirectionChoice[] = [
  { mechanism: 'nftables' },
  { mechanism: 'iptables', iptablesFlavour: 'nft' },
  { mechanism: 'iptables', iptablesFlavour: 'legacy' },
];
const PROXY = 0x539;
const FAMILIES: readonly IpFamily[] = [4, 6];

interface Case {
  readonly title: string;
  readonly call: Omit<Call, 'to'>;
  readonly to: (family: IpFamily) => SocketAddress;
  readonly at: string;
}

const to = (host: 'node' | 'pod' | 'peer', port: number) => (family: IpFamily) => ({ ip: ADDRESS[host][family], port });
const toLoopback = (port: number) => (family: IpFamily) => ({ ip: LOOPBACK[family], port });
const out = { from: 'pod' } as const;
const proxyOut = { from: 'pod', mark: PROXY } as const;
const inward = { from: 'peer' } as const;

const OUTBOUND: readonly Case[] = [
  { title: 'a call to another pod goes to the proxy', call: out, to: to('peer', 8080), at: 'pod:15001' },
  {
    title: 'a call out of the cluster goes to the proxy',
    call: out,
    to: (family) => ({ ip: OUTSIDE[family], port: 443 }),
    at: 'pod:15001',
  },
  { title: 'a call to the node goes to the proxy', call: out, to: to('node', 10_250), at: 'pod:15001' },
  { title: 'a call by the proxy goes out', call: proxyOut, to: to('peer', 8080), at: 'peer:8080' },
  { title: 'bits above the mask say nothing', call: { ...out, mark: 0x71539 }, to: to('peer', 8080), at: 'peer:8080' },
  { title: 'another mark says nothing', call: { ...out, mark: 0x53a }, to: to('peer', 8080), at: 'pod:15001' },
];
const INSIDE: readonly Case[] = [
  { title: 'a call over loopback stays there', call: out, to: toLoopback(8080), at: 'pod:8080' },
  { title: 'a pod that calls its own address reaches itself', call: out, to: to('pod', 8080), at: 'pod:8080' },
  { title: 'DNS over loopback stays there', call: out, to: toLoopback(53), at: 'pod:53' },
];
const INBOUND: readonly Case[] = [
  { title: 'a call from another pod goes to the proxy', call: inward, to: to('pod', 8080), at: 'pod:15006' },
  { title: 'a call from the node goes to the proxy', call: { from: 'node' }, to: to('pod', 8080), at: 'pod:15006' },
  { title: 'HBONE needs no redirection', call: inward, to: to('pod', 15_008), at: 'pod:15008' },
  {
    title: 'no other port of the proxy is to be had from outside',
    call: inward,
    to: to('pod', 15_001),
    at: 'pod:15006',
  },
];
const DNS: readonly Case[] = [
  { title: 'DNS over TCP goes to the proxy', call: out, to: to('peer', 53), at: 'pod:15053' },
  { title: 'DNS over TCP by the proxy goes out', call: proxyOut, to: to('peer', 53), at: 'peer:53' },
];
const NO_DNS: readonly Case[] = [
  { title: 'DNS over TCP is a call like others', call: out, to: to('peer', 53), at: 'pod:15001' },
];
const INBOUND_BYPASS: readonly Case[] = [
  { title: 'a call from another pod reaches the program', call: inward, to: to('pod', 8080), at: 'pod:8080' },
  { title: 'HBONE still reaches the proxy', call: inward, to: to('pod', 15_008), at: 'pod:15008' },
];
const REROUTED: readonly Case[] = [
  { title: 'what comes from the interface counts as outbound', call: inward, to: to('pod', 8080), at: 'pod:15001' },
  { title: 'so does HBONE', call: inward, to: to('pod', 15_008), at: 'pod:15001' },
];
const EXCLUDED: readonly Case[] = [
  { title: 'an excluded port of others is called directly', call: out, to: to('peer', 9090), at: 'peer:9090' },
  { title: 'an excluded port of its own is reached directly', call: inward, to: to('pod', 9100), at: 'pod:9100' },
  { title: 'outbound is not excluded inbound', call: inward, to: to('pod', 9090), at: 'pod:15006' },
  { title: 'inbound is not excluded outbound', call: out, to: to('peer', 9100), at: 'pod:15001' },
];
const EXCLUDED_BLOCK: readonly Case[] = [
  { title: 'an address in an excluded block is called directly', call: out, to: to('peer', 8080), at: 'peer:8080' },
  { title: 'the next address is not', call: out, to: to('node', 8080), at: 'pod:15001' },
  { title: 'the DNS of an excluded block is captured', call: out, to: to('peer', 53), at: 'pod:15053' },
];

const ALL = { ipv6: true, dnsCapture: true };

for (const choice of MECHANISMS) {
  const name = choice.mechanism === 'nftables' ? 'nftables' : `iptables (${choice.iptablesFlavour})`;
  test(`traffic redirected by ${name}`, async (t) => {
    await withWorld(async (world) => {
      const redirection = chooseRedirection(choice);
      const install = (options: RedirectOptions) => redirection.redirector(world.fd('pod'), podPlan(options)).install();
      await t.test('with everything captured', async (t) => {
        await install(ALL);
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...INBOUND, ...DNS]);
        await udpAndIcmp(t, world);
        await keptSource(t, world);
        await liveThroughReinstall(t, world, () => install(ALL));
        await probes(t, world, redirection);
        await callsToProbeSource(t, world);
      });
      await t.test('rules that somebody flushed capture again once repaired', async () => {
        const call = { from: 'pod', to: { ip: ADDRESS.peer[4], port: 8080 } } as const;
        const flush =
          choice.iptablesFlavour === undefined ? 'nft flush ruleset' : `iptables-${choice.iptablesFlavour} -t nat -F`;
        world.run('pod', 'sh', '-c', flush);
        assert.equal((await world.arrival(call)).at, 'peer:8080');
        const found = await redirection.redirector(world.fd('pod'), podPlan(ALL)).repair();
        assert.ok(found.some(({ is, what }) => is === 'missing' && what.includes('15001')));
        assert.equal((await world.arrival(call)).at, 'pod:15001');
      });
      // Each plan replaces the one before, of which nothing may stay.
      await t.test('without DNS capture', async (t) => {
        await install({ ipv6: true, dnsCapture: false });
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...INBOUND, ...NO_DNS]);
        await datagrams(t, world, NO_DNS_DATAGRAMS);
      });
      await t.test('in ingress mode', async (t) => {
        await install({ ...ALL, ingressMode: true });
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...INBOUND_BYPASS, ...DNS]);
        await keptSource(t, world);
      });
      await t.test('with a rerouted interface', async (t) => {
        await install({ ...ALL, rerouteInterfaces: ['eth0'] });
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...REROUTED]);
      });
      await t.test('with excluded ports', async (t) => {
        await install({ ...ALL, excludeOutboundPorts: [9090], excludeInboundPorts: [9100] });
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...INBOUND, ...DNS, ...EXCLUDED]);
      });
      await t.test('with excluded address blocks', async (t) => {
        await install({ ...ALL, excludeOutboundCidrs: FAMILIES.map((family) => ADDRESS.peer[family]) });
        await arrive(t, world, [...INSIDE, ...INBOUND, ...EXCLUDED_BLOCK]);
      });
      await t.test('with IPv4 alone', async (t) => {
        await install({ ipv6: false, dnsCapture: true });
        await arrive(t, world, [...OUTBOUND, ...INSIDE, ...INBOUND, ...DNS], [4]);
        await arrive(t, world, UNTOUCHED, [6]);
      });
      await t.test('after removal', async (t) => {
        await redirection.redirector(world.fd('pod'), podPlan(ALL)).remove();
        await arrive(t, world, UNTOUCHED);
      });
    });
  });
}

const UNTOUCHED: readonly Case[] = [
  { title: 'a call goes out', call: out, to: to('peer', 8080), at: 'peer:8080' },
  { title: 'DNS over TCP goes out', call: out, to: to('peer', 53), at: 'peer:53' },
  { title: 'a call comes in', call: inward, to: to('pod', 8080), at: 'pod:8080' },
];

async function arrive(t: TestContext, world: World, cases: readonly Case[], families = FAMILIES): Promise<void> {
  for (const family of families) {
    for (const { title, call, to, at } of cases) {
      await t.test(`${title} (IPv${family})`, async () => {
        const meant = to(family);
        const sameHost = meant.ip === LOOPBACK[family];
        const from = sameHost ? meant.ip : ADDRESS[call.from][family];
        assert.deepEqual(await world.arrival({ ...call, to: meant }), { at, meant, from });
      });
    }
  }
}

const DATAGRAMS: readonly Case[] = [
  { title: 'DNS goes to the proxy', call: out, to: to('peer', 53), at: 'pod:15053' },
  { title: 'DNS of the proxy goes out', call: proxyOut, to: to('peer', 53), at: 'peer:53' },
  { title: 'DNS over loopback stays there', call: out, to: toLoopback(53), at: 'pod:53' },
  { title: 'other datagrams go out', call: out, to: to('peer', 5353), at: 'peer:5353' },
  { title: 'datagrams come in', call: inward, to: to('pod', 5353), at: 'pod:5353' },
];
const NO_DNS_DATAGRAMS: readonly Case[] = [{ title: 'DNS goes out', call: out, to: to('peer', 53), at: 'peer:53' }];

/** Ports are not used twice: conntrack would remember where the first went. */
let nextPort = 40_000;

async function datagrams(t: TestContext, world: World, cases: readonly Case[]): Promise<void> {
  for (const family of FAMILIES) {
    for (const { title, call, to, at } of cases) {
      await t.test(`UDP: ${title} (IPv${family})`, async () => {
        const target = to(family);
        const ip = target.ip === LOOPBACK[family] ? target.ip : ADDRESS[call.from][family];
        assert.equal(await world.datagram({ ...call, to: target, source: { ip, port: nextPort++ } }), at);
      });
    }
  }
}

async function udpAndIcmp(t: TestContext, world: World): Promise<void> {
  await datagrams(t, world, DATAGRAMS);
  await t.test('the DNS of the proxy is tracked in a zone of its own, so that ports may be the same', async () => {
    const source = { ip: ADDRESS.pod[4], port: nextPort++ };
    const question = { from: 'pod', to: { ip: ADDRESS.peer[4], port: 53 }, source } as const;
    assert.equal(await world.datagram(question), 'pod:15053');
    assert.equal(await world.datagram({ ...question, mark: PROXY }), 'peer:53');
    const tracked = world.run('pod', 'cat', '/proc/net/nf_conntrack').split('\n');
    const zones = tracked.filter((line) => line.includes(`sport=${source.port} dport=53`));
    assert.deepEqual(zones.map((line) => / zone=1 /.test(line)).sort(), [false, true]);
  });
  await t.test('ICMP passes both ways', async () => {
    for (const family of FAMILIES) {
      await ping(world.fd('pod'), ADDRESS.peer[family]);
      await ping(world.fd('peer'), ADDRESS.pod[family]);
    }
  });
}

async function keptSource(t: TestContext, world: World): Promise<void> {
  for (const family of FAMILIES) {
    await t.test(`a program sees its caller and its replies reach the proxy (IPv${family})`, async () => {
      const source = { ip: ADDRESS.peer[family], port: 0 };
      const target = { ip: ADDRESS.pod[family], port: 8080 };
      const { client, server, arrival } = await world.connect({
        from: 'pod',
        mark: PROXY,
        transparent: true,
        source,
        to: target,
      });
      assert.deepEqual(arrival, { at: 'pod:8080', meant: target, from: source.ip });
      write(client, 'request');
      assert.equal(await readText(server), 'request');
      write(server, 'reply');
      assert.equal(await readText(client), 'reply');
      const tracked = world.run('pod', 'cat', '/proc/net/nf_conntrack').split('\n');
      assert.ok(tracked.some((line) => line.includes('dport=8080') && line.includes(`mark=${0x111}`)));
    });
  }
}

/** Answers pass by themselves, being no new connections; the rule shows in a call to the address that probes come from. */
async function callsToProbeSource(t: TestContext, world: World): Promise<void> {
  for (const family of FAMILIES) {
    await t.test(`the address that probes come from is never captured (IPv${family})`, async () => {
      const ip = PROBE_SOURCE[family];
      world.run('peer', 'ip', 'address', 'add', ip, 'dev', 'lo');
      world.run('pod', 'ip', 'route', 'add', ip, 'via', ADDRESS.peer[family]);
      const to = { ip, port: 8080 };
      assert.deepEqual(await world.arrival({ from: 'pod', to }), {
        at: 'peer:8080',
        meant: to,
        from: ADDRESS.pod[family],
      });
      world.run('pod', 'ip', 'route', 'del', ip);
      world.run('peer', 'ip', 'address', 'del', ip, 'dev', 'lo');
    });
  }
}

async function liveThroughReinstall(t: TestContext, world: World, reinstall: () => Promise<void>): Promise<void> {
  await t.test('a live connection does not notice that the rules are made anew', async () => {
    const to = { ip: OUTSIDE[4], port: 443 };
    const { client, server, arrival } = await world.connect({ from: 'pod', to });
    assert.equal(arrival.at, 'pod:15001');
    await reinstall();
    write(client, 'request');
    assert.equal(await readText(server), 'request');
    write(server, 'reply');
    assert.equal(await readText(client), 'reply');
  });
}

async function probes(t: TestContext, world: World, redirection: Redirection): Promise<void> {
  const plan = (podAddresses: readonly string[]) => hostPlan({ ipv6: true, podAddresses });
  const host = (podAddresses: readonly string[]) => redirection.redirector(world.fd('node'), plan(podAddresses));
  const addresses = Object.values(ADDRESS.pod);
  const title = (family: IpFamily) => `(IPv${family})`;
  await host(addresses).install();
  for (const family of FAMILIES) {
    const target = { ip: ADDRESS.pod[family], port: 8080 };
    await t.test(`a probe of the node passes, and its answer too ${title(family)}`, async () => {
      const { client, server, arrival } = await world.connect({ from: 'node', to: target });
      assert.deepEqual(arrival, { at: 'pod:8080', meant: target, from: PROBE_SOURCE[family] });
      write(client, 'well?');
      assert.equal(await readText(server), 'well?');
      write(server, 'well');
      assert.equal(await readText(client), 'well');
    });
    await t.test(`what the node forwards is no probe ${title(family)}`, async () => {
      const expected = { at: 'pod:15006', meant: target, from: ADDRESS.peer[family] };
      assert.deepEqual(await world.arrival({ from: 'peer', to: target }), expected);
    });
    await t.test(`a pod that is not in the set is called as by anybody ${title(family)}`, async () => {
      const other = { ip: ADDRESS.peer[family], port: 8080 };
      const expected = { at: 'peer:8080', meant: other, from: ADDRESS.node[family] };
      assert.deepEqual(await world.arrival({ from: 'node', to: other }), expected);
    });
  }
  await t.test('a pod that left the set is no longer probed past the proxy', async () => {
    await host([ADDRESS.pod[6]]).install();
    const probe = (family: IpFamily) => world.arrival({ from: 'node', to: { ip: ADDRESS.pod[family], port: 8080 } });
    assert.deepEqual([(await probe(4)).at, (await probe(6)).at], ['pod:15006', 'pod:8080']);
  });
  await host([]).remove();
  await t.test('without the rules of the node a probe is captured', async () => {
    const { at, from } = await world.arrival({ from: 'node', to: { ip: ADDRESS.pod[4], port: 8080 } });
    assert.deepEqual({ at, from }, { at: 'pod:15006', from: ADDRESS.node[4] });
  });
}
