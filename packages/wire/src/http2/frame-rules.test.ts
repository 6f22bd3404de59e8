import assert from 'node:assert/strict';
import test from 'node:test';
import { FrameFlag, FrameType, PREFACE } from './frames.ts';
import { SettingId } from './settings.ts';
import { concat, describe, frame, RawPeer, setting, uint32 } from './test-support.ts';
import { Http2ErrorCode as Code, type HeaderList } from './types.ts';

const GET: HeaderList = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const POST: HeaderList = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const CONNECT: HeaderList = [':method', 'CONNECT', ':authority', 'a:80'];

/** What a server says to frames that follow a sound start. Stream 1 is open where a row begins by `open`. */
const open = (peer: RawPeer): Uint8Array => peer.headers(1, POST);
const whole = (peer: RawPeer): Uint8Array => peer.headers(1, GET, true);
const data = (id: number, flags: number, payload: number[]): Uint8Array => frame(FrameType.DATA, flags, id, payload);

interface Row {
  readonly rule: string;
  readonly feed: (peer: RawPeer) => Uint8Array[];
  readonly answers: string[];
}

const CONNECTION_ERRORS: Row[] = [
  { rule: '6.1 DATA on stream 0', feed: () => [data(0, 0, [1])], answers: [`GOAWAY 0 ${Code.PROTOCOL_ERROR}`] },
  { rule: '5.1 DATA on an idle stream', feed: () => [data(1, 0, [1])], answers: [`GOAWAY 0 ${Code.PROTOCOL_ERROR}`] },
  {
    rule: '6.1 padding as long as the payload',
    feed: (peer) => [open(peer), data(1, FrameFlag.PADDED, [2, 0])],
    answers: [`GOAWAY 1 ${Code.PROTOCOL_ERROR}`],
  },
  {
    rule: '6.1 padded DATA without a pad length',
    feed: (peer) => [open(peer), data(1, FrameFlag.PADDED, [])],
    answers: [`GOAWAY 1 ${Code.FRAME_SIZE_ERROR}`],
  },
  {
    rule: '4.2 a frame above the announced size',
    feed: (peer) => [open(peer), data(1, 0, new Array(16_385).fill(0))],
    answers: [`GOAWAY 1 ${Code.FRAME_SIZE_ERROR}`],
  },
  {
    rule: '6.2 HEADERS on stream 0',
    feed: (peer) => [peer.headers(0, GET)],
    answers: [`GOAWAY 0 ${Code.PROTOCOL_ERROR}`],
  },
  {
    rule: '5.1.1 HEADERS on an even stream',
    feed: (peer) => [peer.headers(2, GET)],
    answers: [`GOAWAY 0 ${Code.PROTOCOL_ERROR}`],
  },
  {
    rule: '5.1.1 a request on an id below the last',
    feed: (peer) => [peer.headers(5, POST), peer.headers(3, GET)],
    answers: [`GOAWAY 5 ${Code.PROTOCOL_ERROR}`],
  },
  {
    rule: '6.2 HEADERS with more padding than payload',
    feed: () => [frame(FrameType.HEADERS, FrameFlag.PADDED | FrameFlag.END_HEADERS, 1, [5, 0x82])],
    answers: [`GOAWAY 0 ${Code.PROTOCOL_ERROR}`],
  },
  {
    rule: '6.2 HEADERS too short for their priority',
    feed: () => [frame(FrameType.HEADERS, FrameFlag.PRIORITY | FrameFlag.END_HEADERS, 1, [0, 0, 0])],
    answers: [`GOAWAY 0 ${Code.FRAME_SIZE_ERROR}`],
  },
  {
    rule: '4.3 a block that does not decode',
    feed: () => [frame(FrameType.HEADERS, FrameFlag.END_HEADERS, 1, [0x80])],
    answers: [`GOAWAY 0 ${Code.COMPRESSION_ERROR}`],
  },
  { rule: '6.3 PRIORITY on stream 0', feed: () => [frame(2, 0, 0, [0, 0, 0, 1, 0])], answers: ['GOAWAY 0 1'] },
  { rule: '6.3 PRIORITY of 4 bytes, no stream', feed: () => [frame(2, 0, 1, uint32(0))], answers: ['GOAWAY 0 6'] },
  { rule: '6.4 RST_STREAM on stream 0', feed: () => [frame(3, 0, 0, uint32(8))], answers: ['GOAWAY 0 1'] },
  { rule: '6.4 RST_STREAM on an idle stream', feed: () => [frame(3, 0, 1, uint32(8))], answers: ['GOAWAY 0 1'] },
  {
    rule: '6.4 RST_STREAM of 3 bytes',
    feed: (peer) => [open(peer), frame(3, 0, 1, [0, 0, 8])],
    answers: ['GOAWAY 1 6'],
  },
  { rule: '6.5 SETTINGS on a stream', feed: () => [frame(4, 0, 1)], answers: ['GOAWAY 0 1'] },
  { rule: '6.5 SETTINGS of 3 bytes', feed: () => [frame(4, 0, 0, [0, 0, 0])], answers: ['GOAWAY 0 6'] },
  { rule: '6.5 an ACK with a payload', feed: () => [frame(4, 1, 0, new Uint8Array(6))], answers: ['GOAWAY 0 6'] },
  {
    rule: '6.5.2 ENABLE_PUSH of 2',
    feed: () => [frame(4, 0, 0, setting(SettingId.ENABLE_PUSH, 2))],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: '6.5.2 INITIAL_WINDOW_SIZE above 2^31-1',
    feed: () => [frame(4, 0, 0, setting(SettingId.INITIAL_WINDOW_SIZE, 2 ** 31))],
    answers: ['GOAWAY 0 3'],
  },
  {
    rule: '6.5.2 MAX_FRAME_SIZE below 16384',
    feed: () => [frame(4, 0, 0, setting(SettingId.MAX_FRAME_SIZE, 16_383))],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: '6.5.2 MAX_FRAME_SIZE above 2^24-1',
    feed: () => [frame(4, 0, 0, setting(SettingId.MAX_FRAME_SIZE, 2 ** 24))],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: 'RFC 8441 ENABLE_CONNECT_PROTOCOL of 2',
    feed: () => [frame(4, 0, 0, setting(SettingId.ENABLE_CONNECT_PROTOCOL, 2))],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: 'more settings in a frame than anyone has',
    feed: () => [frame(4, 0, 0, new Uint8Array(6 * 65))],
    answers: ['GOAWAY 0 11'],
  },
  { rule: '8.4 PUSH_PROMISE', feed: () => [frame(5, 4, 1, uint32(2))], answers: ['GOAWAY 0 1'] },
  { rule: '6.7 PING on a stream', feed: () => [frame(6, 0, 1, new Uint8Array(8))], answers: ['GOAWAY 0 1'] },
  { rule: '6.7 PING of 7 bytes', feed: () => [frame(6, 0, 0, new Uint8Array(7))], answers: ['GOAWAY 0 6'] },
  { rule: '6.8 GOAWAY on a stream', feed: () => [frame(7, 0, 1, uint32(0, 0))], answers: ['GOAWAY 0 1'] },
  { rule: '6.8 GOAWAY of 7 bytes', feed: () => [frame(7, 0, 0, new Uint8Array(7))], answers: ['GOAWAY 0 6'] },
  { rule: '6.9 WINDOW_UPDATE of 3 bytes', feed: () => [frame(8, 0, 0, [0, 0, 1])], answers: ['GOAWAY 0 6'] },
  { rule: '6.9 WINDOW_UPDATE, idle stream', feed: () => [frame(8, 0, 1, uint32(1))], answers: ['GOAWAY 0 1'] },
  { rule: '6.9 WINDOW_UPDATE of 0, connection', feed: () => [frame(8, 0, 0, uint32(0))], answers: ['GOAWAY 0 1'] },
  {
    rule: '6.9.1 a connection window above 2^31-1',
    feed: () => [frame(8, 0, 0, uint32(2 ** 31 - 1))],
    answers: ['GOAWAY 0 3'],
  },
  { rule: '6.10 CONTINUATION alone', feed: () => [frame(9, 4, 1, [0x82])], answers: ['GOAWAY 0 1'] },
  {
    rule: '6.10 another frame inside a header block',
    feed: () => [frame(1, 0, 1, [0x82]), frame(6, 0, 0, new Uint8Array(8))],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: '6.10 CONTINUATION of another stream',
    feed: () => [frame(1, 0, 1, [0x82]), frame(9, 4, 3, [0x84])],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: '5.5 an unknown frame inside a header block',
    feed: () => [frame(1, 0, 1, [0x82]), frame(0xf0, 0, 0, [])],
    answers: ['GOAWAY 0 1'],
  },
  {
    rule: '5.1 DATA after the peer reset the stream',
    feed: (peer) => [open(peer), frame(3, 0, 1, uint32(8)), data(1, 0, [1])],
    answers: [`GOAWAY 1 ${Code.STREAM_CLOSED}`],
  },
  {
    rule: '5.1 HEADERS after the peer reset the stream',
    feed: (peer) => [open(peer), frame(3, 0, 1, uint32(8)), peer.headers(1, ['x', 'y'], true)],
    answers: [`GOAWAY 1 ${Code.STREAM_CLOSED}`],
  },
];

const STREAM_ERRORS: Row[] = [
  {
    rule: '5.1 DATA after END_STREAM',
    feed: (peer) => [whole(peer), data(1, 0, [1])],
    answers: [`RST_STREAM 1 ${Code.STREAM_CLOSED}`],
  },
  {
    rule: '5.1 HEADERS after END_STREAM',
    feed: (peer) => [whole(peer), peer.headers(1, ['x', 'y'], true)],
    answers: [`RST_STREAM 1 ${Code.STREAM_CLOSED}`],
  },
  {
    rule: '5.3.1 a stream that depends on itself',
    feed: (peer) => [open(peer), frame(2, 0, 1, [0, 0, 0, 1, 0])],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '6.3 PRIORITY of 4 bytes',
    feed: (peer) => [open(peer), frame(2, 0, 1, uint32(0))],
    answers: ['RST_STREAM 1 6'],
  },
  {
    rule: '6.9 WINDOW_UPDATE of 0',
    feed: (peer) => [open(peer), frame(8, 0, 1, uint32(0))],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: "6.9.1 a stream's window above 2^31-1",
    feed: (peer) => [open(peer), frame(8, 0, 1, uint32(2 ** 31 - 1))],
    answers: ['RST_STREAM 1 3'],
  },
  {
    rule: '8.1 trailers without END_STREAM',
    feed: (peer) => [open(peer), peer.headers(1, ['x', 'y'])],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.1 trailers with a pseudo-header',
    feed: (peer) => [open(peer), peer.headers(1, [':path', '/'], true)],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.5 trailers on a tunnel',
    feed: (peer) => [peer.headers(1, CONNECT), peer.headers(1, ['x', 'y'], true)],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.1.1 less DATA than content-length',
    feed: (peer) => [peer.headers(1, [...POST, 'content-length', '3']), data(1, 1, [1, 2])],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.1.1 more DATA than content-length',
    feed: (peer) => [peer.headers(1, [...POST, 'content-length', '3']), data(1, 0, [1, 2, 3, 4])],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.1.1 less DATA than content-length before trailers',
    feed: (peer) => [peer.headers(1, [...POST, 'content-length', '3']), peer.headers(1, ['x', 'y'], true)],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.1.1 content-length without DATA',
    feed: (peer) => [peer.headers(1, [...POST, 'content-length', '3'], true)],
    answers: ['RST_STREAM 1 1'],
  },
  {
    rule: '8.3 a malformed request',
    feed: (peer) => [peer.headers(1, [':method', 'GET'], true)],
    answers: ['RST_STREAM 1 1'],
  },
];

const ACCEPTED: Row[] = [
  { rule: '5.5 an unknown frame', feed: () => [frame(0xf0, 0xff, 3, [1, 2, 3])], answers: [] },
  { rule: '6.5.2 an unknown setting', feed: () => [frame(4, 0, 0, setting(0xf000, 7))], answers: ['SETTINGS 0 1'] },
  { rule: '6.3 PRIORITY on an idle stream', feed: () => [frame(2, 0, 7, [0, 0, 0, 1, 0])], answers: [] },
  { rule: '6.7 PING', feed: () => [frame(6, 0, 0, new Uint8Array(8))], answers: ['PING 0 1'] },
  {
    rule: '5.1 RST_STREAM after the end',
    feed: (p) => [open(p), frame(3, 0, 1, uint32(8)), frame(3, 0, 1, uint32(8))],
    answers: [],
  },
  {
    rule: '5.1 WINDOW_UPDATE after the end',
    feed: (p) => [open(p), frame(3, 0, 1, uint32(8)), frame(8, 0, 1, uint32(8))],
    answers: [],
  },
  {
    rule: '4.1 the reserved bit',
    feed: () => [concat([0, 0, 8, 6, 0, 0x80, 0, 0, 0], new Uint8Array(8))],
    answers: ['PING 0 1'],
  },
];

for (const { rule, feed, answers } of CONNECTION_ERRORS) {
  test(`a connection error: ${rule}`, () => {
    const peer = RawPeer.connected('server');
    assert.deepEqual(describe(peer.feed(...feed(peer))), answers);
    assert.ok(peer.session.closed && peer.handler.closeError instanceof Error);
    assert.deepEqual(peer.feed(frame(6, 0, 0, new Uint8Array(8))), []);
  });
}

for (const { rule, feed, answers } of STREAM_ERRORS) {
  test(`a stream error: ${rule}`, () => {
    const peer = RawPeer.connected('server');
    assert.deepEqual(describe(peer.feed(...feed(peer))), answers);
    assert.equal(peer.session.activeStreams, 0);
    assert.deepEqual(describe(peer.feed(peer.headers(3, GET, true))), []);
    assert.equal(peer.handler.events.at(-1), 'end 3');
  });
}

for (const { rule, feed, answers } of ACCEPTED) {
  test(`accepted: ${rule}`, () => {
    const peer = RawPeer.connected('server');
    assert.deepEqual(describe(peer.feed(...feed(peer))), answers);
    assert.equal(peer.session.closed, false);
  });
}

test('all rules hold when bytes arrive one by one', () => {
  for (const { rule, feed, answers } of [...CONNECTION_ERRORS, ...STREAM_ERRORS, ...ACCEPTED]) {
    const peer = RawPeer.connected('server');
    const frames = [];
    for (const byte of concat(...feed(peer))) frames.push(...peer.feed([byte]));
    assert.deepEqual(describe(frames), answers, rule);
  }
});

test('the first bytes must be the preface and SETTINGS', () => {
  for (const start of [
    [...PREFACE.subarray(0, 23), 0],
    [...PREFACE, ...frame(6, 0, 0, new Uint8Array(8))],
    [0x16, 3, 1],
  ]) {
    const peer = new RawPeer('server');
    peer.transport.take();
    assert.deepEqual(describe(peer.feed(start)), ['GOAWAY 0 1']);
  }
  const client = new RawPeer('client');
  client.transport.take();
  assert.deepEqual(describe(client.feed(frame(4, 1, 0))), ['GOAWAY 0 1']);
});

test('a header block in pieces, padded and with a priority, is one request', () => {
  const peer = RawPeer.connected('server');
  const block = peer.block([...POST, 'x-name', 'value'.repeat(20)]);
  const flags = FrameFlag.PADDED | FrameFlag.PRIORITY | FrameFlag.END_STREAM;
  const start = frame(
    FrameType.HEADERS,
    flags,
    1,
    concat([3], uint32(0x80000000), [15], block.subarray(0, 4), [0, 0, 0]),
  );
  const middle = frame(FrameType.CONTINUATION, 0, 1, block.subarray(4, 20));
  const empty = frame(FrameType.CONTINUATION, 0, 1);
  const last = frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, 1, block.subarray(20));
  assert.deepEqual(peer.feed(start, middle, empty, last), []);
  assert.deepEqual(peer.handler.events, [`request 1 ${POST.join(' ')} x-name ${'value'.repeat(20)} end`, 'end 1']);
});

test('padding is not delivered, and its credit returns', () => {
  const peer = RawPeer.connected('server');
  peer.handler.consumes = false;
  const updates = peer.feed(
    open(peer),
    ...Array.from({ length: 150 }, () => data(1, FrameFlag.PADDED, [255, 7, ...new Array(255).fill(0)])),
  );
  assert.equal(peer.handler.events.filter((event) => event === 'data 1 1').length, 150);
  assert.deepEqual(describe(updates), ['WINDOW_UPDATE 1 32768']);
});

test('frames for a stream that this side reset are dropped, and the connection keeps its window', () => {
  const peer = RawPeer.connected('server', { connectionWindowBytes: 65_535 });
  peer.feed(open(peer));
  peer.handler.lastStream?.reset(Code.CANCEL);
  peer.transport.take();
  const answers = peer.feed(data(1, 0, new Array(16_384).fill(0)), data(1, 1, new Array(16_384).fill(0)));
  assert.deepEqual(describe(answers), ['WINDOW_UPDATE 0 32768']);
  assert.deepEqual(peer.feed(peer.headers(1, ['trailer', 'late'], true)), []);
  assert.equal(peer.session.closed, false);
  assert.deepEqual(peer.handler.events.slice(-1), ['close 1 HTTP2_CANCEL unknown']);
});

test('4.3.1 the table that a peer compresses by obeys our SETTINGS once it has acknowledged them', () => {
  const announced = { headerTableMaxBytes: 1024 };
  const early = new RawPeer('server', announced);
  early.feed(PREFACE, frame(FrameType.SETTINGS, 0, 0));
  assert.deepEqual(describe(early.feed(early.headers(1, POST))), [], 'until then the default holds');

  const obedient = RawPeer.connected('server', announced);
  obedient.encoder.setTableMax(1024);
  assert.deepEqual(describe(obedient.feed(obedient.headers(1, POST), obedient.headers(3, POST))), []);
  assert.equal(obedient.handler.events.length, 2);

  const disobedient = RawPeer.connected('server', announced);
  assert.deepEqual(describe(disobedient.feed(disobedient.headers(1, POST))), [`GOAWAY 0 ${Code.COMPRESSION_ERROR}`]);
});
