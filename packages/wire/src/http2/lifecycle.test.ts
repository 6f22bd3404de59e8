import assert from 'node:assert/strict';
import test from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import { FrameFlag, FrameType, PREFACE, STREAM_ID_MAX } from './frames.ts';
import { SettingId } from './settings.ts';
import { describe, frame, Link, parseFrames, RawPeer, setting, uint32 } from './test-support.ts';
import { Http2ErrorCode as Code, type HeaderList } from './types.ts';

const GET: HeaderList = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const CONNECT: HeaderList = [':method', 'CONNECT', ':authority', 'a:80'];
const OK: HeaderList = [':status', '200'];
const GONE = new AmbitError('TCP_RESET', 'the connection is gone', { side: 'downstream', retry: 'unknown' });

test('a session starts with what it announces, and the window of the connection', () => {
  const client = new RawPeer('client');
  assert.equal(client.transport.writes.length, 1);
  const bytes = client.transport.take();
  assert.deepEqual(bytes.subarray(0, PREFACE.length), PREFACE);
  const [settings, update] = parseFrames(bytes.subarray(PREFACE.length));
  assert.equal(settings!.payload.length, 36);
  assert.deepEqual(describe([update!]), [`WINDOW_UPDATE 0 ${1_048_576 - 65_535}`]);
  const server = parseFrames(new RawPeer('server').transport.take());
  assert.equal(server[0]!.payload.length, 30);
});

test('request and response end a stream cleanly, whoever ends first', () => {
  const link = new Link(1);
  link.serverHandler.headersHook = (stream, _headers, endStream) => stream.sendHeaders(OK, endStream);
  link.serverHandler.endHook = (stream) => {
    if (!stream.closed && !stream.localEnded) stream.sendData(new Uint8Array(9), 9, 0, true);
  };
  link.client.openStream(GET, true);
  const tunnel = link.client.openStream(CONNECT, false)!;
  link.run(1000);
  tunnel.sendData(new Uint8Array(9), 9, 0, true);
  link.run(1000);
  assert.deepEqual(link.clientHandler.events, [
    'settings',
    'response 1 :status 200 end',
    'end 1',
    'close 1 clean',
    'response 3 :status 200',
    'end 3',
    'close 3 clean',
  ]);
  assert.deepEqual(
    link.serverHandler.events.filter((event) => event.startsWith('end') || event.startsWith('close')),
    ['end 1', 'close 1 clean', 'end 3', 'close 3 clean'],
  );
});

test('interim responses and trailers are told apart', () => {
  const link = new Link(2);
  link.serverHandler.headersHook = (stream) => {
    stream.sendHeaders([':status', '103', 'link', 'x'], false);
    stream.sendHeaders(OK, false);
    stream.sendData(new Uint8Array(10), 9, 1, false);
    stream.sendHeaders(['grpc-status', '0'], true);
  };
  link.client.openStream(GET, true);
  link.run(7);
  assert.deepEqual(link.clientHandler.events.slice(1, 4), [
    'interim 1 :status 103 link x',
    'response 1 :status 200',
    'data 1 1',
  ]);
  assert.deepEqual(link.clientHandler.events.slice(-3), ['trailers 1 grpc-status 0 end', 'end 1', 'close 1 clean']);
});

test('large headers go out as CONTINUATIONs and arrive whole', () => {
  const link = new Link(3, { continuationsMax: 100 }, { headerListMaxBytes: 200_000 });
  const headers = [...GET];
  for (let i = 0; i < 30; i++) headers.push(`x-${i}`, String.fromCharCode(0x80 + i).repeat(3000));
  link.client.openStream(headers, true);
  link.run(5000);
  assert.equal(link.serverHandler.events[1], `request 1 ${headers.join(' ')} end`);
});

test('bodyless responses may announce a length', () => {
  const client = RawPeer.connected('client');
  client.session.openStream([':method', 'HEAD', ...GET.slice(2)], true);
  client.session.openStream(GET, true);
  client.feed(client.headers(1, [...OK, 'content-length', '5'], true));
  client.feed(client.headers(3, [':status', '304', 'content-length', '5'], true));
  assert.deepEqual(
    client.handler.events.filter((event) => event.startsWith('close')),
    ['close 1 clean', 'close 3 clean'],
  );
});

test('what a server must not send costs a client the stream', () => {
  const client = RawPeer.connected('client');
  const faults: ((id: number) => Uint8Array[])[] = [
    (id) => [frame(FrameType.DATA, 0, id, [1])],
    (id) => [client.headers(id, [':status', '100'], true)],
    (id) => [client.headers(id, [':status', '101'])],
    (id) => [client.headers(id, [...OK, 'content-length', '5'], true)],
    (id) => [client.headers(id, OK), client.headers(id, ['a', 'b'], true)],
  ];
  for (const fault of faults) {
    const stream = client.session.openStream(CONNECT, false)!;
    client.transport.take();
    const isTunnel = fault === faults[3];
    const answers = describe(client.feed(...fault(stream.id)));
    assert.deepEqual(answers, isTunnel ? [] : [`RST_STREAM ${stream.id} 1`]);
  }
  assert.deepEqual(describe(client.feed(client.headers(2, OK))), ['GOAWAY 0 1']);
});

test('a server that pushes, or switches push on, loses the connection', () => {
  const pushing = RawPeer.connected('client');
  pushing.session.openStream(GET, true);
  pushing.transport.take();
  assert.deepEqual(describe(pushing.feed(frame(5, 4, 1, [0, 0, 0, 2, 0x88]))), ['GOAWAY 0 1']);
  const switching = RawPeer.connected('client');
  assert.deepEqual(describe(switching.feed(frame(4, 0, 0, setting(SettingId.ENABLE_PUSH, 1)))), ['GOAWAY 0 1']);
});

test('a client opens no more streams than the peer takes', () => {
  const client = RawPeer.connected('client');
  assert.equal(client.session.peerConcurrentStreamsMax, Number.POSITIVE_INFINITY);
  client.feed(frame(4, 0, 0, setting(SettingId.MAX_CONCURRENT_STREAMS, 2)));
  assert.equal(client.session.peerConcurrentStreamsMax, 2);
  const first = client.session.openStream(GET, true);
  assert.ok(client.session.openStream(GET, true));
  assert.equal(client.session.openStream(GET, true), null);
  first!.reset(Code.CANCEL);
  assert.equal(client.session.openStream(GET, true)?.id, 5);
});

test('GOAWAY closes what the peer did not take, and the session after the rest', () => {
  const client = RawPeer.connected('client');
  for (let i = 0; i < 3; i++) client.session.openStream(GET, true);
  client.feed(frame(7, 0, 0, uint32(3, Code.NO_ERROR)));
  assert.deepEqual(client.handler.events, ['close 5 HTTP2_REFUSED_STREAM safe', 'goaway 3 0']);
  assert.ok(client.session.goingAway);
  assert.equal(client.session.openStream(GET, true), null);
  client.feed(client.headers(1, OK, true));
  assert.equal(client.session.closed, false);
  client.transport.take();
  assert.deepEqual(describe(client.feed(client.headers(3, OK, true))), ['GOAWAY 0 0']);
  assert.deepEqual(client.handler.events.slice(-2), ['close 3 clean', 'session drained']);
});

test('a drain loses no stream that was under way', () => {
  const server = RawPeer.connected('server');
  server.feed(server.headers(1, CONNECT));
  server.session.drain();
  const [goaway, ping] = parseFrames(server.transport.take());
  assert.deepEqual(describe([goaway!]), [`GOAWAY ${STREAM_ID_MAX} 0`]);
  assert.deepEqual(server.feed(server.headers(3, CONNECT)), []);
  assert.equal(server.handler.events.at(-1), `request 3 ${CONNECT.join(' ')}`);
  assert.deepEqual(describe(server.feed(frame(6, FrameFlag.ACK, 0, ping!.payload))), ['GOAWAY 3 0']);
  assert.deepEqual(server.feed(server.headers(5, CONNECT), frame(0, 0, 5, [1])), []);
  assert.equal(server.session.activeStreams, 2);
  server.feed(frame(3, 0, 1, uint32(8)));
  assert.equal(server.session.closed, false);
  server.feed(frame(3, 0, 3, uint32(8)));
  assert.equal(server.handler.events.at(-1), 'session drained');
});

test('an idle session drains once its ping is answered, a client at once', () => {
  const link = new Link(4);
  link.run(100);
  link.server.drain();
  link.run(100);
  assert.deepEqual(link.clientHandler.events.slice(-2), [`goaway ${STREAM_ID_MAX} 0`, 'session drained']);
  const client = RawPeer.connected('client');
  client.session.drain();
  assert.deepEqual(describe(parseFrames(client.transport.take())), ['GOAWAY 0 0']);
  assert.equal(client.handler.closeError, null);
});

test('goaway with an error ends everything now', () => {
  const server = RawPeer.connected('server');
  server.feed(server.headers(1, CONNECT));
  server.session.goaway(Code.INTERNAL_ERROR);
  assert.deepEqual(describe(parseFrames(server.transport.take())), ['GOAWAY 1 2']);
  assert.deepEqual(server.handler.events.slice(1), [
    'close 1 HTTP2_INTERNAL_ERROR unknown',
    'session HTTP2_INTERNAL_ERROR',
  ]);
});

test('a ping comes back', () => {
  const link = new Link(5);
  link.run(100);
  link.client.ping(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]));
  link.run(3);
  assert.equal(link.clientHandler.events.at(-1), 'pong 1 2 3 4 5 6 7 8');
});

test('control frames of one read leave in one write, headers before data', () => {
  const server = RawPeer.connected('server');
  server.handler.endHook = (stream) => {
    stream.sendHeaders(OK, false);
    stream.sendData(new Uint8Array(10), 9, 1, true);
  };
  const ping = frame(6, 0, 0, new Uint8Array(8));
  server.session.receive(ping, 0, ping.length);
  assert.equal(server.transport.writes.length, 1);
  server.transport.take();
  const bytes = Buffer.concat([ping, server.headers(1, GET, true), ping]);
  server.session.receive(bytes, 0, bytes.length);
  assert.deepEqual(
    server.transport.writes.map((write) => describe(parseFrames(write))),
    [['PING 0 1', 'HEADERS 1 4'], ['DATA 1 1'], ['PING 0 1']],
  );
});

test('a handler that throws is heard, and the session can still be closed', () => {
  const server = RawPeer.connected('server');
  server.handler.headersHook = () => {
    throw new Error('a fault of ours');
  };
  server.handler.closeHook = () => {
    throw new Error('another one');
  };
  const bytes = server.headers(1, CONNECT);
  assert.throws(() => server.session.receive(bytes, 0, bytes.length), /a fault of ours/);
  assert.deepEqual(server.feed(frame(6, 0, 0, new Uint8Array(8))), []);
  assert.throws(() => server.session.close(GONE), /another one/);
  assert.deepEqual(server.handler.events.slice(1), ['close 1 TCP_RESET unknown', 'session TCP_RESET']);
  server.session.close(GONE);
  assert.equal(server.handler.events.length, 3);
});

test('a handler may close the session from inside any callback', () => {
  for (const at of ['headersHook', 'dataHook', 'endHook', 'closeHook'] as const) {
    const server = RawPeer.connected('server');
    server.handler[at] = () => server.session.close(GONE);
    server.handler.consumes = false;
    const reset = frame(3, 0, 1, uint32(8));
    server.feed(server.headers(1, CONNECT), frame(0, 1, 1, [1]), reset, frame(6, 0, 0, new Uint8Array(8)));
    assert.equal(server.handler.events.at(-1), 'session TCP_RESET', at);
    assert.equal(server.transport.take().length, 0);
  }
});

test('after a stream has closed its methods do nothing', () => {
  const server = RawPeer.connected('server');
  server.feed(server.headers(1, CONNECT));
  const stream = server.handler.lastStream!;
  stream.reset(Code.CANCEL);
  server.transport.take();
  stream.sendHeaders(OK, false);
  stream.sendData(new Uint8Array(10), 9, 1, true);
  stream.consume(5);
  stream.reset(Code.CANCEL);
  assert.equal(stream.sendableBytes(), 0);
  assert.equal(server.transport.take().length, 0);
});

test('misuse is found by assertions', () => {
  const client = RawPeer.connected('client');
  const stream = client.session.openStream(CONNECT, false)!;
  assert.throws(() => stream.sendData(new Uint8Array(70_000), 9, 65_536, false), /beyond the window/);
  stream.sendData(new Uint8Array(9), 9, 0, true);
  assert.throws(() => stream.sendData(new Uint8Array(10), 9, 1, false), /after this side ended/);
  assert.throws(() => stream.sendHeaders(['a', 'b'], true), /after this side ended/);
  assert.throws(() => client.session.ping(new Uint8Array(7)), /eight bytes/);
  assert.throws(() => client.session.start(), /starts once/);
});

test('room that comes back inside a callback is used', () => {
  const server = RawPeer.connected('server');
  server.feed(server.headers(1, CONNECT));
  const stream = server.handler.lastStream!;
  server.transport.roomBytes = 0;
  assert.equal(stream.sendableBytes(), 0);
  server.handler.dataHook = () => {
    server.transport.roomBytes = 100;
    server.session.transportWritable();
  };
  server.feed(frame(0, 0, 1, [1]));
  assert.equal(server.handler.events.at(-1), 'writable 1');
});

test('the last stream that GOAWAY names never rises', () => {
  const server = RawPeer.connected('server');
  server.feed(server.headers(1, CONNECT));
  server.session.goaway(Code.NO_ERROR);
  assert.deepEqual(describe(parseFrames(server.transport.take())), ['GOAWAY 1 0']);
  assert.deepEqual(describe(server.feed(server.headers(3, CONNECT), frame(6, 0, 1))), ['GOAWAY 1 1']);
});

test('a header table that shrinks and grows in one SETTINGS is announced as both', () => {
  const client = RawPeer.connected('client');
  client.session.openStream([...GET, 'x-repeats', 'a value worth keeping'], true);
  const sizes = [0, 4096].flatMap((bytes) => [...setting(SettingId.HEADER_TABLE_SIZE, bytes)]);
  client.feed(frame(4, 0, 0, sizes));
  client.session.openStream([...GET, 'x-repeats', 'a value worth keeping'], true);
  const [headers] = parseFrames(client.transport.take());
  // RFC 7541 section 6.3: size updates to 0 and to 4096 open the block.
  assert.deepEqual([...headers!.payload.subarray(0, 4)], [0x20, 0x3f, 0xe1, 0x1f]);
});
