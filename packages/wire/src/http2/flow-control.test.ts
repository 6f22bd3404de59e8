import assert from 'node:assert/strict';
import test from 'node:test';
import { FrameFlag, FrameType } from './frames.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SettingId } from './settings.ts';
import { describe, type Frame, frame, parseFrames, RawPeer, setting, uint32 } from './test-support.ts';
import { Http2ErrorCode as Code, type HeaderList, type Http2StreamLike } from './types.ts';

const POST: HeaderList = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const OK: HeaderList = [':status', '200'];
const KB16 = new Uint8Array(16_384);

const data = (id: number, payload: ArrayLike<number>): Uint8Array => frame(FrameType.DATA, 0, id, payload);
const window = (id: number, bytes: number): Uint8Array => frame(FrameType.WINDOW_UPDATE, 0, id, uint32(bytes));

/** A server with stream 1 answered by headers, and that stream. */
function answered(overrides = {}): { peer: RawPeer; stream: Http2StreamLike } {
  const peer = RawPeer.connected('server', overrides);
  peer.feed(peer.headers(1, POST));
  const stream = peer.handler.lastStream!;
  stream.sendHeaders(OK, false);
  peer.transport.take();
  return { peer, stream };
}

function sendAll(peer: RawPeer, stream: Http2StreamLike): Frame[] {
  for (let length = stream.sendableBytes(); length > 0; length = stream.sendableBytes()) {
    stream.sendData(new Uint8Array(9 + length), 9, length, false);
  }
  return parseFrames(peer.transport.take());
}

test('DATA is cut to the frame size of the peer, and headers go into the bytes before each piece', () => {
  const { peer, stream } = answered();
  const bytes = new Uint8Array(20 + 40_000).fill(7);
  stream.sendData(bytes, 20, 40_000, true);
  const frames = parseFrames(peer.transport.take());
  assert.deepEqual(
    frames.map(({ payload, flags }) => [payload.length, flags]),
    [
      [16_384, 0],
      [16_384, 0],
      [7232, FrameFlag.END_STREAM],
    ],
  );
  assert.ok(frames.every(({ payload }) => payload.every((byte) => byte === 7)));
  assert.ok(bytes.subarray(0, 11).every((byte) => byte === 7));
});

test('a sender stops at the window and goes on with WINDOW_UPDATE', () => {
  const { peer, stream } = answered();
  assert.equal(
    sendAll(peer, stream).reduce((sum, { payload }) => sum + payload.length, 0),
    65_535,
  );
  assert.equal(stream.sendableBytes(), 0);
  peer.feed(window(1, 100));
  assert.equal(stream.sendableBytes(), 0);
  assert.ok(!peer.handler.events.includes('writable 1'));
  peer.feed(window(0, 10));
  assert.equal(peer.handler.events.at(-1), 'writable 1');
  assert.equal(stream.sendableBytes(), 10);
});

test('SETTINGS move the windows of open streams, below zero too', () => {
  const { peer, stream } = answered();
  sendAll(peer, stream);
  peer.feed(frame(4, 0, 0, setting(SettingId.INITIAL_WINDOW_SIZE, 1000)), window(0, 1_000_000));
  assert.equal(stream.sendableBytes(), 0);
  peer.feed(window(1, 64_535));
  assert.equal(stream.sendableBytes(), 0);
  peer.feed(window(1, 1));
  assert.equal(peer.handler.events.at(-1), 'writable 1');
  assert.equal(stream.sendableBytes(), 1);
  peer.feed(frame(4, 0, 0, setting(SettingId.INITIAL_WINDOW_SIZE, 1500)));
  assert.equal(stream.sendableBytes(), 501);
});

test('SETTINGS that overflow a stream are a FLOW_CONTROL_ERROR', () => {
  const { peer } = answered();
  peer.feed(window(1, 2 ** 31 - 1 - 65_535));
  assert.deepEqual(describe(peer.feed(frame(4, 0, 0, setting(SettingId.INITIAL_WINDOW_SIZE, 65_536)))), [
    `GOAWAY 1 ${Code.FLOW_CONTROL_ERROR}`,
  ]);
});

test('a larger frame size of the peer is used', () => {
  const { peer, stream } = answered();
  peer.feed(frame(4, 0, 0, setting(SettingId.MAX_FRAME_SIZE, 60_000)));
  stream.sendData(new Uint8Array(9 + 50_000), 9, 50_000, false);
  assert.deepEqual(
    parseFrames(peer.transport.take()).map(({ payload }) => payload.length),
    [50_000],
  );
});

test('a transport without room stops DATA until it says so', () => {
  const { peer, stream } = answered();
  peer.transport.roomBytes = 100;
  assert.equal(stream.sendableBytes(), 100);
  stream.sendData(new Uint8Array(109), 9, 100, false);
  assert.equal(stream.sendableBytes(), 0);
  peer.transport.roomBytes = 50;
  peer.session.transportWritable();
  assert.equal(peer.handler.events.at(-1), 'writable 1');
});

test('streams that wait are served in turn', () => {
  const peer = RawPeer.connected('server');
  const turns: number[] = [];
  peer.handler.headersHook = (stream) => {
    stream.sendHeaders(OK, false);
    stream.sendableBytes();
  };
  peer.handler.writableHook = (stream) => {
    turns.push(stream.id);
    for (let left = 10; left > 0; ) {
      const length = Math.min(left, stream.sendableBytes());
      if (length === 0) return;
      stream.sendData(new Uint8Array(9 + length), 9, length, false);
      left -= length;
    }
    peer.transport.roomBytes = 0;
    stream.sendableBytes();
  };
  peer.transport.roomBytes = 0;
  peer.feed(peer.headers(1, POST), peer.headers(3, POST), peer.headers(5, POST));
  for (let i = 0; i < 7; i++) {
    peer.transport.roomBytes = 20;
    peer.session.transportWritable();
  }
  assert.deepEqual(turns, [1, 3, 5, 1, 3, 5, 1]);
});

test('a stream that ends while it waits is not called any more', () => {
  const { peer, stream } = answered();
  peer.transport.roomBytes = 0;
  stream.sendableBytes();
  peer.feed(frame(FrameType.RST_STREAM, 0, 1, uint32(Code.CANCEL)));
  peer.transport.roomBytes = 100;
  peer.session.transportWritable();
  assert.equal(peer.handler.events.at(-1), 'close 1 HTTP2_CANCEL unknown');
});

test('credit returns in updates of half a window, and a reader that keeps up gets a larger one', () => {
  const { peer } = answered({ streamWindowMaxBytes: 200_000 });
  const updates = peer.feed(...Array.from({ length: 12 }, () => data(1, KB16)));
  // 65535 to 131070 with the second frame, and to 200000 with the sixth; from there what was read is given back.
  assert.deepEqual(describe(updates), [
    `WINDOW_UPDATE 1 ${2 * 16_384 + 65_535}`,
    `WINDOW_UPDATE 1 ${4 * 16_384 + 68_930}`,
  ]);
});

test('a reader that owes bytes gets no credit for them, and no larger window', () => {
  const { peer, stream } = answered();
  peer.handler.consumes = false;
  assert.deepEqual(peer.feed(data(1, KB16), data(1, KB16), data(1, KB16)), []);
  stream.consume(40_000);
  assert.deepEqual(describe(parseFrames(peer.transport.take())), ['WINDOW_UPDATE 1 40000']);
  assert.throws(() => stream.consume(3 * 16_384 - 40_000 + 1), /consumed more/);
});

test('a peer that sends beyond the window of a stream loses the stream', () => {
  const { peer } = answered();
  peer.handler.consumes = false;
  const answers = peer.feed(...Array.from({ length: 4 }, () => data(1, KB16)));
  assert.deepEqual(describe(answers), [`RST_STREAM 1 ${Code.FLOW_CONTROL_ERROR}`]);
});

test('a peer that sends beyond the window of the connection loses the connection', () => {
  const peer = RawPeer.connected('server', { connectionWindowBytes: 65_535 });
  peer.handler.consumes = false;
  const answers = peer.feed(...[1, 3].map((id) => peer.headers(id, POST)), ...[1, 3, 1, 3].map((id) => data(id, KB16)));
  assert.deepEqual(describe(answers), [`GOAWAY 3 ${Code.FLOW_CONTROL_ERROR}`]);
});

test('a stream that closes gives back to the connection what nobody read', () => {
  const peer = RawPeer.connected('server', { connectionWindowBytes: 65_535 });
  peer.handler.consumes = false;
  peer.feed(peer.headers(1, POST), data(1, KB16), data(1, KB16));
  peer.handler.lastStream!.reset(Code.CANCEL);
  assert.deepEqual(describe(parseFrames(peer.transport.take())), [
    `RST_STREAM 1 ${Code.CANCEL}`,
    'WINDOW_UPDATE 0 32768',
  ]);
  peer.handler.lastStream!.consume(10);
  assert.equal(peer.transport.take().length, 0);
});

test('a small initial window holds only once the peer knows of it', () => {
  const peer = new RawPeer('server', { streamWindowInitialBytes: 1000, streamWindowMaxBytes: 1000 });
  peer.handler.consumes = false;
  const preface = Uint8Array.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (c) => c.charCodeAt(0));
  peer.transport.take();
  peer.feed(preface, frame(4, 0, 0), peer.headers(1, POST), data(1, KB16));
  assert.deepEqual(describe(peer.feed(frame(4, FrameFlag.ACK, 0), peer.headers(3, POST))), []);
  assert.deepEqual(describe(peer.feed(data(3, new Uint8Array(1001)))), [`RST_STREAM 3 ${Code.FLOW_CONTROL_ERROR}`]);
  peer.handler.lastStream = null;
  assert.deepEqual(describe(peer.feed(data(1, [1]))), [`RST_STREAM 1 ${Code.FLOW_CONTROL_ERROR}`]);
});

test('what a window gives and takes adds up', () => {
  const receive = new ReceiveWindow(100, 100);
  assert.ok(receive.charge(60));
  assert.ok(!receive.charge(41));
  assert.equal(receive.credit(49, 0), 0);
  assert.equal(receive.credit(1, 0), 50);
  assert.equal(receive.availableBytes, 90);
  assert.equal(receive.credit(10, 150), 0);
  assert.ok(receive.charge(40));
  assert.equal(receive.credit(40, 150), 100);
  assert.equal(receive.sizeBytes, 150);
  assert.equal(receive.availableBytes, 150);
});
