import assert from 'node:assert/strict';
import test from 'node:test';
import { decode, encode, type Packet } from 'dns-packet';
import { withLength } from './message-reader.ts';
import { resolveName } from './resolve-name.ts';
import { asking, CLIENT, echoing, nameOf, respond, told, UPSTREAMS, type Upstream, World } from './world.fixture.ts';

test('a service is answered without asking anybody, in the spelling of the question', () => {
  const world = new World();
  const [answer] = world.ask(asking('wEb.ShOp'));
  assert.equal(told(answer), 'NOERROR AA 10.96.0.1');
  assert.deepEqual(answer?.questions?.[0]?.name, 'wEb.ShOp');
  assert.deepEqual(world.datagrams.connected, []);
  const [{ client, ...record } = { client: null }] = world.records;
  assert.equal(client, CLIENT);
  assert.deepEqual(record, { type: 'A', name: 'wEb.ShOp', result: 'success', endpoints: 1 });
});

test('a name behind a search domain is an alias', () => {
  const answer = new World().ask(asking('web.shop.shop.svc.cluster.local'))[0];
  assert.equal(told(answer), 'NOERROR AA web.shop 10.96.0.1');
});

test('a service without an address of the family is answered empty', () => {
  const questions = [{ type: 'AAAA' as const, name: 'web' }];
  assert.equal(told(new World().ask(asking('web', { questions }))[0]), 'NOERROR AA');
});

test('everything else is forwarded, from the pod, with the mark, and its answer comes back without AA', () => {
  const world = new World();
  assert.equal(told(world.ask(asking('wWw.bInG.com'))[0]), 'NOERROR 1.1.1.1');
  assert.deepEqual(world.datagrams.connected, [{ ...UPSTREAMS[0], namespaceFd: 7, mark: 0x539 }]);
  const questions = [{ type: 'NS' as const, name: 'web.shop' }];
  world.ask(asking('', { questions }));
  assert.deepEqual(
    world.records.map(({ type, name, result }) => `${type} ${name} ${result}`),
    ['A wWw.bInG.com forwarded', 'NS web.shop forwarded'],
  );
  assert.equal(world.datagrams.open, 3, 'the sockets of the queries are closed');
});

test('the upstream sees the message of the client under an id of our own', () => {
  const seen: Buffer[] = [];
  const noting: Upstream = (query) => {
    seen.push(query);
    return [respond(query, {})];
  };
  const world = new World({ upstreams: [noting] });
  const message = asking('ODD.example', {
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1400,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
  world.ask(message);
  world.ask(message);
  assert.deepEqual(
    seen.map((each) => each.readUInt16BE(0)),
    world.ids,
  );
  assert.equal(new Set(world.ids).size, 2);
  for (const each of seen) assert.deepEqual(each.subarray(2), message.subarray(2));
});

test('NXDOMAIN and other codes are passed on, and only those that help nobody are failures', () => {
  for (const [flags, expected, failures] of [
    [0x8403, 'NXDOMAIN', 0],
    [0x8402, 'SERVFAIL', 1],
    [0x8405, 'REFUSED', 1],
  ] as const) {
    const world = new World({ upstreams: [(query) => [respond(query, { flags })]] });
    assert.equal(told(world.ask(asking('gone.example'))[0]), expected);
    assert.equal(world.server.counters.of('A', 'udp').upstreamFailures, failures);
  }
});

test('an answer to another id or question, or that is none, is not believed', () => {
  const forged = (query: Buffer, given: Packet): Buffer => {
    const answers = [{ type: 'A' as const, name: nameOf(query), data: '6.6.6.6' }];
    return respond(query, { answers, ...given });
  };
  const world = new World({
    upstreams: [
      (query) => [
        forged(query, { id: (decode(query).id! + 1) & 0xffff }),
        forged(query, { questions: [{ type: 'A', name: 'evil.example' }] }),
        forged(query, { type: 'query' }),
        Buffer.from('garbage'),
        ...echoing('1.1.1.1')(query),
      ],
    ],
  });
  assert.equal(told(world.ask(asking('bank.example'))[0]), 'NOERROR 1.1.1.1');
});

test('somebody who guesses on and on does not keep the next server from being asked', () => {
  const guesses = Array.from({ length: 200 }, (_, id) => id);
  const world = new World({
    upstreams: [(query) => guesses.map((id) => respond(query, { id })), echoing('2.2.2.2')],
  });
  assert.equal(told(world.ask(asking('bank.example'), 500)[0]), 'NOERROR 2.2.2.2');
});

test('a dead upstream leaves the next its turn: silent after the timeout, refusing at once, unreachable too', () => {
  const silent = new World({ upstreams: [() => [], echoing('2.2.2.2')] });
  assert.deepEqual(silent.ask(asking('a.example'), 900), []);
  silent.network.run(2000);
  assert.equal(told(decode(Buffer.from(silent.answers[0]!))), 'NOERROR 2.2.2.2');

  const refusing = new World({ upstreams: [null, echoing('2.2.2.2')] });
  assert.equal(told(refusing.ask(asking('a.example'), 500)[0]), 'NOERROR 2.2.2.2');

  const unreachable = new World({ upstreams: [null, echoing('2.2.2.2')] });
  unreachable.datagrams.unreachable.add(UPSTREAMS[0]!.ip);
  assert.equal(told(unreachable.ask(asking('a.example'), 500)[0]), 'NOERROR 2.2.2.2');
});

test('when nobody answers it is SERVFAIL, counted, after all tries', () => {
  const world = new World({ upstreams: [() => [], null], attempts: 2 });
  assert.deepEqual(world.ask(asking('a.example'), 1900), []);
  assert.equal(world.forwarder.pending, 1);
  world.network.run(3000);
  assert.equal(told(decode(Buffer.from(world.answers[0]!))), 'SERVFAIL');
  assert.equal(world.datagrams.connected.length, 4);
  const { requests, upstreamRequests, upstreamFailures, durationBuckets } = world.server.counters.of('A', 'udp');
  assert.deepEqual([requests, upstreamRequests, upstreamFailures], [1, 1, 1]);
  assert.deepEqual(durationBuckets, [0, 0, 0, 0, 0, 1, 0]);
  assert.equal(world.forwarder.pending, 0);
  assert.equal(told(new World({ upstreams: [] }).ask(asking('a.example'))[0]), 'SERVFAIL');
});

test('a storm of names that nobody answers waits within a bound, and services are still answered', () => {
  const world = new World({ upstreams: [() => []], pendingMax: 50 });
  for (let i = 0; i < 500; i += 1) world.send(asking(`x${i}.example`));
  world.network.run(100);
  assert.equal(world.forwarder.pending, 50);
  assert.equal(world.datagrams.connected.length, 50);
  assert.equal(world.answers.length, 450);
  assert.ok(world.answers.every((answer) => told(decode(Buffer.from(answer))) === 'SERVFAIL'));
  assert.equal(told(world.ask(asking('web'), 100)[0]), 'NOERROR AA 10.96.0.1');
  world.network.run(5000);
  assert.equal(world.forwarder.pending, 0);
});

test('what does not fit a datagram is cut, and whole over TCP', () => {
  const world = new World({ upstreams: [echoing(...Array.from({ length: 80 }, (_, i) => `1.1.1.${i}`))] });
  const [local] = world.ask(asking('many.example'));
  assert.ok(local?.flag_tc && local.answers!.length > 20 && local.answers!.length < 100);
  const [remote] = world.ask(asking('large.example'));
  assert.ok(remote?.flag_tc && remote.answers!.length === 0);
  const framed = [asking('many.example'), asking('large.example')].map(withLength);
  const { answers } = world.stream(Buffer.concat(framed));
  const sizes = answers.map(({ flag_tc, answers: records }) => `${flag_tc} ${records!.length}`);
  assert.deepEqual(sizes.sort(), ['false 100', 'false 80']);
  const { requests, upstreamRequests } = world.server.counters.of('A', 'tcp');
  assert.deepEqual([requests, upstreamRequests], [2, 1]);
});

test('over TCP a hundred queries at once are all answered, and a client that ended gets them too', () => {
  const world = new World();
  const framed = Array.from({ length: 100 }, (_, i) => withLength(asking(i % 2 === 0 ? 'web' : `x${i}.example`)));
  const { answers, closed } = world.stream(Buffer.concat(framed), { ends: true });
  assert.deepEqual([answers.length, closed], [100, 'cleanly']);
  assert.deepEqual(new Set(answers.map(told)), new Set(['NOERROR AA 10.96.0.1', 'NOERROR 1.1.1.1']));
});

test('one TCP client waits for at most so many answers', () => {
  const world = new World({ upstreams: [() => []], attempts: 1 });
  world.stream(Buffer.concat(Array.from({ length: 100 }, () => withLength(asking('x.example')))), { untilMs: 500 });
  assert.equal(world.forwarder.pending, 32);
});

test('a TCP client that is silent, or never finishes a query, is let go; one that waits for an answer is not', () => {
  assert.equal(new World().stream(new Uint8Array(0), { untilMs: 4900 }).closed, 'open');
  assert.equal(new World().stream(new Uint8Array(0), { untilMs: 5200 }).closed, 'CONNECTION_RESET');
  assert.equal(new World().stream(Uint8Array.of(0, 40, 1), { untilMs: 5200 }).closed, 'CONNECTION_RESET');
  const waiting = new World({ upstreams: [() => []], attempts: 5 }).stream(withLength(asking('x.example')), {
    untilMs: 6000,
  });
  assert.deepEqual([waiting.closed, waiting.answers.map(told)], ['open', ['SERVFAIL']]);
});

test('over TCP what is no query is told so, and what is no message ends the connection', () => {
  const response = withLength(encode({ type: 'response', id: 0x77aa, questions: [{ type: 'A', name: 'a' }] }));
  const update = withLength(asking('a', { flags: 5 << 11 }));
  const { answers } = new World().stream(Buffer.concat([response, update]));
  assert.deepEqual(answers.map(told), ['FORMERR', 'NOTIMP']);
  for (const bytes of [
    [0, 0],
    [0xff, 0xff],
    [0, 1, 1],
  ]) {
    assert.equal(new World().stream(Uint8Array.from(bytes)).closed, 'CONNECTION_RESET');
  }
});

test('more TCP clients than the bound are turned away, and again taken when others have gone', () => {
  const world = new World();
  const results = Array.from({ length: 130 }, () => world.stream(new Uint8Array(0), { untilMs: 10 }));
  world.network.run(world.engine.nowMs() + 100);
  assert.equal(results.filter(({ closed }) => closed === 'open').length, 128);
  world.network.run(world.engine.nowMs() + 6000);
  assert.deepEqual(world.stream(withLength(asking('web'))).answers.map(told), ['NOERROR AA 10.96.0.1']);
});

test('over UDP a response is never answered: two proxies would go on for ever', () => {
  const world = new World();
  assert.deepEqual(world.ask(encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'a' }] })), []);
  assert.deepEqual(world.ask(Uint8Array.of(1, 2, 3)), []);
  assert.equal(world.server.counters.dropped, 2);
  assert.equal(told(world.ask(asking('a', { flags: 5 << 11 }))[0]), 'NOTIMP');
  assert.equal(told(world.ask(asking('a').subarray(0, 14))[0]), 'FORMERR');
});

test('the queries of a pod that is not known fail', () => {
  const world = new World({ isClientKnown: false });
  assert.equal(told(world.ask(asking('web'))[0]), 'SERVFAIL');
  assert.deepEqual(
    world.records.map(({ client, result }) => [client, result]),
    [[null, 'unknown source']],
  );
  assert.equal(world.server.counters.of('A', 'udp').requests, 1);
});

test('types that nobody knows share one counter', () => {
  const world = new World({ upstreams: [(query) => [respond(query, {})]] });
  for (let type = 60_000; type < 60_100; type += 1) {
    const message = asking('x.example');
    message.writeUInt16BE(type, message.length - 4);
    world.ask(message, 10);
  }
  const counts = [...world.server.counters.counts()].map(({ queryType, protocol, requests }) => [
    queryType,
    protocol,
    requests,
  ]);
  assert.deepEqual(counts, [['unknown', 'udp', 100]]);
});

test('closing ends the sockets, the streams and what was waited for', () => {
  const world = new World({ upstreams: [() => []] });
  const stream = world.stream(withLength(asking('x.example')), { untilMs: 100 });
  world.ask(asking('y.example'), 100);
  assert.equal(world.forwarder.pending, 2);
  world.server.close();
  world.network.run(world.engine.nowMs() + 100);
  assert.deepEqual([stream.closed, world.forwarder.pending, world.answers.length], ['CONNECTION_RESET', 0, 0]);
  assert.equal(world.datagrams.open, 2, 'the upstream and the client are left');
  assert.equal(world.stream(new Uint8Array(0)).closed, 'CONNECT_REFUSED');
});

test('names are resolved inside the proxy by the same way', () => {
  const world = new World();
  const found: (string | null)[] = [];
  for (const [name, wantsIpv6] of [
    ['web.shop', false],
    ['web.shop.shop.svc.cluster.local', false],
    ['www.bing.com.', false],
    ['web.shop', true],
    ['', false],
    ['a..b', false],
    [`${'x'.repeat(64)}.example`, false],
    ['caf\u00e9.example', false],
  ] as const) {
    resolveName(world.server, name, wantsIpv6, (ip) => found.push(ip));
    world.network.run(world.engine.nowMs() + 100);
  }
  assert.deepEqual(found, ['10.96.0.1', '10.96.0.1', '1.1.1.1', null, null, null, null, null]);
});

test('an answer that is no message resolves to nothing', () => {
  const world = new World({
    upstreams: [(query) => [respond(query, { answers: [{ type: 'A', name: 'x', data: '1.1.1.1' }] }).subarray(0, -3)]],
  });
  const found: (string | null)[] = [];
  resolveName(world.server, 'www.bing.com', false, (ip) => found.push(ip));
  world.network.run(100);
  assert.deepEqual(found, [null]);
});
