/**
 * Nothing a peer sends throws, hangs, or makes a session grow. Inputs: recorded conversations and past findings in
 * `corpora/http2` (server-*: what a server was sent, client-*: what a client was), mutated by a seed, and plain noise.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type Rng, seededRng } from '@ambit/base/rng';
import { PREFACE } from './frames.ts';
import { concat, frame, parseFrames, RawPeer, type Recorder } from './test-support.ts';
import { Http2ErrorCode as Code, type Http2StreamLike } from './types.ts';

const FOLDER = join(import.meta.dirname, '../../corpora/http2');
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 40);
/** A session may say this much more than it is told: answers to requests, and its own start. */
const WRITTEN_PER_RECEIVED = 30;
const WRITTEN_AT_START = 100_000;

interface Input {
  readonly name: string;
  readonly role: 'client' | 'server';
  readonly bytes: Uint8Array;
}

const corpus: Input[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => ({
    name,
    role: name.startsWith('client-') ? 'client' : 'server',
    bytes: new Uint8Array(readFileSync(join(FOLDER, name))),
  }));

/** Takes part like an owner would: answers, sends, reads late, resets. */
function participate(handler: Recorder, rng: Rng): void {
  const send = (stream: Http2StreamLike): void => {
    const length = Math.min(stream.sendableBytes(), 200);
    if (length > 0 && !stream.localEnded) stream.sendData(new Uint8Array(9 + length), 9, length, rng.integer(2) === 0);
  };
  handler.consumes = false;
  handler.headersHook = (stream) => {
    if (stream.headersKind !== 'request') return;
    stream.sendHeaders([':status', '200', 'server', 'fuzz'], rng.integer(4) === 0);
    if (!stream.localEnded) send(stream);
  };
  handler.dataHook = (stream, _bytes, _offset, length) => {
    const choice = rng.integer(10);
    if (choice < 7) stream.consume(length);
    else if (choice === 8) stream.reset(Code.CANCEL);
  };
  handler.endHook = send;
  handler.writableHook = (stream) => (stream.localEnded ? undefined : send(stream));
}

function start(role: 'client' | 'server'): RawPeer {
  const peer = new RawPeer(role, { headerListMaxBytes: 4096, concurrentStreamsMax: role === 'server' ? 20 : 0 });
  for (let i = 0; role === 'client' && i < 4; i++) {
    peer.session.openStream([':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'], i % 2 === 0);
  }
  return peer;
}

function play(input: Input, rng: Rng): void {
  const peer = start(input.role);
  participate(peer.handler, rng);
  let written = 0;
  for (let at = 0; at < input.bytes.length; ) {
    const length = Math.min(input.bytes.length - at, 1 + rng.integer(rng.integer(2) === 0 ? 20 : 5000));
    peer.session.receive(input.bytes, at, length);
    at += length;
    written += peer.transport.take().length;
    assert.ok(peer.session.activeStreams <= 20);
  }
  assert.ok(written <= WRITTEN_PER_RECEIVED * input.bytes.length + WRITTEN_AT_START, `${written} bytes were written`);
  peer.session.close(null);
  checkEvents(peer.handler.events);
}

/** Each stream closes once and is silent afterwards; the session's close is the last word. */
function checkEvents(events: string[]): void {
  const closed = new Set<string>();
  const opened = new Set<string>();
  for (const event of events.slice(0, -1)) {
    const [what, id] = event.split(' ') as [string, string];
    assert.notEqual(what, 'session');
    if (['settings', 'pong', 'goaway'].includes(what)) continue;
    assert.ok(!closed.has(id), `${event} after the close`);
    opened.add(id);
    if (what === 'close') closed.add(id);
  }
  assert.match(events.at(-1) ?? '', /^session /);
  assert.deepEqual(closed, opened);
}

const MUTATIONS: ((bytes: Uint8Array, rng: Rng) => Uint8Array)[] = [
  function flipBit(bytes, rng) {
    bytes[rng.integer(bytes.length)]! ^= 1 << rng.integer(8);
    return bytes;
  },
  function setByte(bytes, rng) {
    bytes[rng.integer(bytes.length)] = [0, 1, 0x7f, 0x80, 0xff][rng.integer(5)]!;
    return bytes;
  },
  function truncate(bytes, rng) {
    return bytes.slice(0, 1 + rng.integer(bytes.length));
  },
  function insert(bytes, rng) {
    const at = rng.integer(bytes.length);
    return concat(bytes.subarray(0, at), rng.bytes(1 + rng.integer(12)), bytes.subarray(at));
  },
  function remove(bytes, rng) {
    const at = rng.integer(bytes.length);
    return concat(bytes.subarray(0, at), bytes.subarray(at + 1 + rng.integer(12)), [0]);
  },
];

/** Whole frames: repeated, dropped, swapped with those of another input, or with a field of their header changed. */
function shuffleFrames(input: Input, rng: Rng): Uint8Array {
  const start = input.role === 'server' ? PREFACE.length : 0;
  const frames = parseFrames(input.bytes.subarray(start));
  const others = corpus[rng.integer(corpus.length)]!;
  const foreign = parseFrames(others.bytes.subarray(others.role === 'server' ? PREFACE.length : 0));
  for (let i = 0; i < 1 + rng.integer(4); i++) {
    const at = rng.integer(frames.length);
    const one = frames[at]!;
    const kind = rng.integer(6);
    if (kind === 0) frames.splice(at, 0, one);
    else if (kind === 1 && frames.length > 1) frames.splice(at, 1);
    else if (kind === 2) frames.splice(at, 0, foreign[rng.integer(foreign.length)]!);
    else if (kind === 3) frames[at] = { ...one, type: rng.integer(12) };
    else if (kind === 4) frames[at] = { ...one, flags: rng.integer(256) };
    else frames[at] = { ...one, streamId: rng.integer(12) };
  }
  const bytes = frames.map(({ type, flags, streamId, payload }) => frame(type, flags, streamId, payload));
  return concat(input.bytes.subarray(0, start), ...bytes);
}

/** Names what to run again when it fails. */
function repeatable(what: string, seed: number, run: () => void): void {
  try {
    run();
  } catch (error) {
    throw new Error(`${what}, FUZZ_SEED=${seed}`, { cause: error });
  }
}

test('the corpus is there, and recorded conversations are understood', () => {
  assert.ok(corpus.length >= 8);
  for (const input of corpus.filter(({ name }) => !name.includes('finding'))) {
    const peer = start(input.role);
    peer.session.receive(input.bytes, 0, input.bytes.length);
    assert.ok(!(peer.handler.closeError instanceof Error), input.name);
    assert.ok(
      peer.handler.events.some((event) => /^(request|response) /.test(event)),
      input.name,
    );
  }
});

test('mutated conversations never throw, and leave nothing open', () => {
  for (let round = 0; round < ROUNDS; round++) {
    const seed = SEED * 1000 + round;
    const rng = seededRng(seed);
    for (const input of corpus) {
      repeatable(input.name, SEED, () => {
        let bytes = rng.integer(2) === 0 ? shuffleFrames(input, rng) : input.bytes.slice();
        for (let i = rng.integer(3); i >= 0; i--) bytes = MUTATIONS[rng.integer(MUTATIONS.length)]!(bytes, rng);
        play({ ...input, bytes }, rng);
      });
    }
  }
});

test('noise after a sound start never throws', () => {
  const settings = frame(4, 0, 0);
  for (let round = 0; round < 10 * ROUNDS; round++) {
    const rng = seededRng(SEED * 100_000 + round);
    const role = rng.integer(2) === 0 ? 'client' : 'server';
    const frames = Array.from({ length: 20 }, () =>
      frame(rng.integer(11), rng.integer(256), rng.integer(8), rng.bytes(rng.integer(rng.integer(2) === 0 ? 10 : 300))),
    );
    const noise = rng.integer(4) === 0 ? [rng.bytes(500)] : frames;
    const bytes = concat(role === 'server' ? PREFACE : [], settings, ...noise);
    repeatable('noise', SEED, () => play({ name: 'noise', role, bytes }, rng));
  }
});

test('how bytes are cut makes no difference to what is understood', () => {
  for (let round = 0; round < ROUNDS; round++) {
    const rng = seededRng(SEED * 10_000 + round);
    for (const input of corpus) {
      const bytes = shuffleFrames(input, rng);
      assert.deepEqual(understood(input.role, bytes, 1 + rng.integer(30)), understood(input.role, bytes, bytes.length));
    }
  }
});

/** Events with neighbouring pieces of DATA put together. */
function understood(role: 'client' | 'server', bytes: Uint8Array, piece: number): string[] {
  const peer = start(role);
  for (let at = 0; at < bytes.length; at += piece) peer.session.receive(bytes, at, Math.min(piece, bytes.length - at));
  const events: string[] = [];
  let dataOf = '';
  let dataBytes = 0;
  for (const event of [...peer.handler.events, '']) {
    const [what, id, length] = event.split(' ') as [string, string, string];
    if (dataBytes > 0 && (what !== 'data' || id !== dataOf)) {
      events.push(`data ${dataOf} ${dataBytes}`);
      dataBytes = 0;
    }
    dataOf = id;
    if (what === 'data') dataBytes += Number(length);
    else events.push(event);
  }
  return events;
}
