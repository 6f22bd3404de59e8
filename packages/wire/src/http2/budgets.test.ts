import assert from 'node:assert/strict';
import test from 'node:test';
import { RateBudget } from './budgets.ts';
import { FrameFlag, FrameType } from './frames.ts';
import { SettingId } from './settings.ts';
import { describe, frame, RawPeer, setting, uint32 } from './test-support.ts';
import { Http2ErrorCode as Code, type HeaderList, type Http2Options } from './types.ts';

const POST: HeaderList = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const OK: HeaderList = [':status', '200'];
const CALM = Code.ENHANCE_YOUR_CALM;
const PING = frame(FrameType.PING, 0, 0, new Uint8Array(8));

/** How often a frame is taken before the session ends with ENHANCE_YOUR_CALM. */
function flood(peer: RawPeer, attack: (round: number) => Uint8Array[], roundsMax = 20_000): number {
  for (let round = 0; round < roundsMax; round++) {
    const last = describe(peer.feed(...attack(round))).at(-1);
    if (!peer.session.closed) continue;
    assert.match(last ?? '', new RegExp(`^GOAWAY \\d+ ${CALM}$`));
    assert.equal(peer.handler.closeError?.code, 'HTTP2_ENHANCE_YOUR_CALM');
    return round;
  }
  return Number.POSITIVE_INFINITY;
}

const connected = (overrides: Partial<Http2Options> = {}): RawPeer => RawPeer.connected('server', overrides);
const id = (round: number): number => 2 * round + 1;

test('rapid reset ends the session', () => {
  const peer = connected();
  const attack = (round: number) => [peer.headers(id(round), POST), frame(3, 0, id(round), uint32(Code.CANCEL))];
  assert.equal(flood(peer, attack), 100);
  assert.equal(peer.session.activeStreams, 0);
});

test('resets that the peer provokes count too (MadeYouReset)', () => {
  const provocations: ((peer: RawPeer, round: number) => Uint8Array[])[] = [
    (peer, round) => [peer.headers(id(round), POST), frame(8, 0, id(round), uint32(0))],
    (peer, round) => [peer.headers(id(round), POST), frame(8, 0, id(round), uint32(2 ** 31 - 1))],
    (peer, round) => [peer.headers(id(round), POST), frame(2, 0, id(round), [0, 0])],
    (peer, round) => [peer.headers(id(round), POST), peer.headers(id(round), ['a', 'b'])],
    (peer, round) => [peer.headers(id(round), POST, true), frame(0, 0, id(round), [1])],
    (peer, round) => [peer.headers(id(round), [':method', 'GET'])],
  ];
  for (const provoke of provocations) {
    const peer = connected();
    assert.equal(
      flood(peer, (round) => provoke(peer, round)),
      100,
    );
  }
});

test('resets spread over time are fine', () => {
  let nowMs = 0;
  const peer = connected({ nowMs: () => nowMs });
  const attack = (round: number) => {
    nowMs += 125;
    return [peer.headers(id(round), POST), frame(3, 0, id(round), uint32(Code.CANCEL))];
  };
  assert.equal(flood(peer, attack, 2000), Number.POSITIVE_INFINITY);
});

test("a server's resets are no flood: a client opened the streams itself", () => {
  const peer = RawPeer.connected('client');
  for (let round = 0; round < 500; round++) {
    const stream = peer.session.openStream(POST, true)!;
    peer.feed(frame(3, 0, stream.id, uint32(Code.REFUSED_STREAM)));
    assert.equal(peer.handler.events.at(-1), `close ${stream.id} HTTP2_REFUSED_STREAM safe`);
  }
  assert.equal(peer.session.closed, false);
});

test('frames without progress end the session', () => {
  const frames: Record<string, Uint8Array> = {
    ping: PING,
    settings: frame(FrameType.SETTINGS, 0, 0, setting(SettingId.MAX_CONCURRENT_STREAMS, 5)),
    'settings ack': frame(FrameType.SETTINGS, FrameFlag.ACK, 0),
    'pong without ping': frame(FrameType.PING, FrameFlag.ACK, 0, new Uint8Array(8)),
    priority: frame(FrameType.PRIORITY, 0, 9, [0, 0, 0, 1, 0]),
    unknown: frame(0x77, 0, 0, [1]),
    'connection window': frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1)),
    'stream window': frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1)),
    'empty data': frame(FrameType.DATA, 0, 1),
    'reset of a closed stream': frame(FrameType.RST_STREAM, 0, 3, uint32(8)),
    'window of a closed stream': frame(FrameType.WINDOW_UPDATE, 0, 3, uint32(8)),
  };
  for (const [name, bytes] of Object.entries(frames)) {
    const peer = connected();
    peer.feed(peer.headers(1, POST), peer.headers(3, POST), frame(3, 0, 3, uint32(8)));
    // Two messages earned four each.
    assert.equal(
      flood(peer, () => [bytes]),
      108,
      name,
    );
  }
});

test('interim responses without end end the session', () => {
  const peer = RawPeer.connected('client');
  peer.session.openStream(POST, true);
  peer.transport.take();
  assert.ok(flood(peer, () => [peer.headers(1, [':status', '103'])]) <= 110);
});

test('a WINDOW_UPDATE for every frame of a long transfer is no flood', () => {
  const peer = connected();
  peer.feed(peer.headers(1, POST));
  const stream = peer.handler.lastStream!;
  stream.sendHeaders(OK, false);
  for (let i = 0; i < 3000; i++) {
    const length = i % 2 === 0 ? 1 : 16_384;
    stream.sendData(new Uint8Array(9 + length), 9, length, false);
    const updates = [0, 1].map((streamId) => frame(FrameType.WINDOW_UPDATE, 0, streamId, uint32(length)));
    assert.ok(peer.feed(...updates).length <= 2);
  }
  assert.equal(peer.session.closed, false);
});

test('PINGs beside a long upload are no flood', () => {
  const peer = connected();
  peer.feed(peer.headers(1, POST));
  for (let i = 0; i < 2000; i++) peer.feed(frame(FrameType.DATA, 0, 1, new Uint8Array(4096)), PING);
  assert.equal(peer.session.closed, false);
});

test('answers to a peer that does not read are capped', () => {
  const peer = connected({ idleFramesPer10sMax: 1e9 });
  peer.transport.roomBytes = 0;
  assert.equal(
    flood(peer, () => [PING]),
    100,
  );
  const reading = connected({ idleFramesPer10sMax: 1e9 });
  for (let round = 0; round < 50; round++) {
    reading.transport.roomBytes = 0;
    for (let i = 0; i < 90; i++) reading.feed(PING);
    reading.transport.roomBytes = 1000;
    reading.session.transportWritable();
  }
  assert.equal(reading.session.closed, false);
});

test('one read full of PINGs is answered without piling up', () => {
  const peer = connected({ idleFramesPer10sMax: 1e9 });
  const answers = peer.feed(...new Array(10_000).fill(PING));
  assert.equal(answers.length, 10_000);
});

test('CONTINUATIONs without end are cut off, empty ones too', () => {
  const peer = connected();
  const attack = (round: number) => [frame(round === 0 ? FrameType.HEADERS : FrameType.CONTINUATION, 0, 1)];
  assert.equal(flood(peer, attack), 9);
  const large = connected({ continuationsMax: 1000, headerListMaxBytes: 20_000 });
  const piece = new Uint8Array(10_000);
  const rounds = flood(large, (round) => [
    frame(round === 0 ? FrameType.HEADERS : FrameType.CONTINUATION, 0, 1, piece),
  ]);
  assert.equal(rounds, 4);
});

test('a header list that is too large is answered by 431, and the table stays in step', () => {
  const peer = connected({ headerListMaxBytes: 2000 });
  const bomb: string[] = [...POST];
  for (let i = 0; i < 40; i++) bomb.push('x-bomb', 'the same value again and again');
  const answers = peer.feed(peer.headers(1, bomb));
  assert.deepEqual(describe(answers), [
    `HEADERS 1 ${FrameFlag.END_HEADERS | FrameFlag.END_STREAM}`,
    `RST_STREAM 1 ${Code.NO_ERROR}`,
  ]);
  assert.deepEqual(peer.handler.events, []);
  peer.feed(peer.headers(3, [...POST, 'x-bomb', 'the same value again and again']));
  assert.deepEqual(peer.handler.events, [`request 3 ${POST.join(' ')} x-bomb the same value again and again`]);
  assert.equal(
    flood(peer, (round) => [peer.headers(id(round + 2), bomb)]),
    99,
  );
});

test('a response that is too large costs its stream', () => {
  const peer = RawPeer.connected('client', { headerListMaxBytes: 2000 });
  const stream = peer.session.openStream(POST, true)!;
  peer.transport.take();
  const answers = peer.feed(peer.headers(1, [...OK, 'x', 'y'.repeat(3000)]));
  assert.deepEqual(describe(answers), [`RST_STREAM 1 ${Code.CANCEL}`]);
  assert.ok(stream.closed);
});

test('the stream after the last that is allowed is refused', () => {
  const peer = connected();
  for (let round = 0; round < 200; round++) assert.deepEqual(peer.feed(peer.headers(id(round), POST)), []);
  assert.deepEqual(describe(peer.feed(peer.headers(401, POST))), [`RST_STREAM 401 ${Code.REFUSED_STREAM}`]);
  assert.equal(peer.session.activeStreams, 200);
  peer.feed(frame(3, 0, 1, uint32(Code.CANCEL)));
  assert.deepEqual(describe(peer.feed(peer.headers(403, POST))), []);
  assert.equal(peer.session.activeStreams, 200);
});

test('streams that open and end against a full transport are refused before their answers pile up', () => {
  const peer = connected({ concurrentStreamsMax: 10 });
  peer.handler.endHook = (stream) => stream.sendHeaders(OK, true);
  peer.transport.roomBytes = 0;
  for (let round = 0; round < 10; round++) {
    assert.match(describe(peer.feed(peer.headers(id(round), POST, true)))[0]!, /^HEADERS/);
  }
  assert.deepEqual(describe(peer.feed(peer.headers(21, POST, true))), [`RST_STREAM 21 ${Code.REFUSED_STREAM}`]);
  peer.transport.roomBytes = 10_000;
  peer.session.transportWritable();
  assert.match(describe(peer.feed(peer.headers(23, POST, true)))[0]!, /^HEADERS/);
});

test('a rate budget forgets after ten seconds, not before', () => {
  const budget = new RateBudget(2);
  assert.deepEqual(
    [0, 9000, 10_500, 11_000, 12_000, 60_000, 60_000, 60_000].map((nowMs) => budget.spend(nowMs)),
    [false, false, true, true, true, false, false, true],
  );
});
