import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import test from 'node:test';
import { type Rng, seededRng } from '@ambit/base/rng';
import { Link } from './test-support.ts';
import { FRAME_HEADER_BYTES, type HeaderList, type Http2StreamLike } from './types.ts';

const CONNECT: HeaderList = [':method', 'CONNECT', ':authority', '10.0.0.1:80'];
const OK: HeaderList = [':status', '200'];

/** Sends `total` seeded bytes whenever it may, then ends; hashes what it sent and what it received. */
class Talker {
  readonly sent: Hash = createHash('sha256');
  readonly received: Hash = createHash('sha256');
  readonly #rng: Rng;
  readonly #stream: Http2StreamLike;
  #left: number;
  uncredited = 0;
  receivedBytes = 0;

  constructor(stream: Http2StreamLike, total: number, seed: number) {
    this.#stream = stream;
    this.#left = total;
    this.#rng = seededRng(seed);
  }

  pump(): void {
    while (this.#left > 0) {
      const length = Math.min(this.#left, this.#stream.sendableBytes(), 1 + this.#rng.integer(50_000));
      if (length === 0) return;
      // Now and then without headroom, so that the copying path is taken too.
      const offset = this.#rng.integer(4) === 0 ? this.#rng.integer(FRAME_HEADER_BYTES) : 16;
      const bytes = new Uint8Array(offset + length);
      bytes.set(this.#rng.bytes(length), offset);
      this.sent.update(bytes.subarray(offset));
      this.#left -= length;
      this.#stream.sendData(bytes, offset, length, this.#left === 0 && this.#rng.integer(2) === 0);
    }
    if (!this.#stream.localEnded && !this.#stream.closed) this.#stream.sendData(new Uint8Array(0), 0, 0, true);
  }

  take(bytes: Uint8Array, offset: number, length: number): void {
    this.received.update(bytes.subarray(offset, offset + length));
    this.receivedBytes += length;
    this.uncredited += length;
    if (this.#rng.integer(3) > 0) this.credit();
  }

  credit(): void {
    const length = this.uncredited;
    this.uncredited = 0;
    this.#stream.consume(length);
  }
}

function converse(seed: number): void {
  const rng = seededRng(seed);
  const tiny = rng.integer(2) === 0;
  const window = (): number => 1 + rng.integer(tiny ? 100 : 100_000);
  const total = (): number => rng.integer(tiny ? 2000 : 100_000);
  const sides = { streamWindowInitialBytes: window(), streamWindowMaxBytes: window(), connectionWindowBytes: 65_535 };
  const otherSides = { ...sides, streamWindowInitialBytes: window(), frameSizeMaxBytes: 16_384 + rng.integer(50_000) };
  const plenty = { idleFramesPer10sMax: 1e9, answersQueuedMax: 1e9 };
  const link = new Link(seed, { ...sides, ...plenty }, { ...otherSides, ...plenty });
  const talkers: { up: Talker; down: Talker | null; closes: string[] }[] = [];

  for (const handler of [link.clientHandler, link.serverHandler]) {
    handler.consumes = false;
    handler.dataHook = (stream, bytes, offset, length) => (stream.context as Talker).take(bytes, offset, length);
    handler.writableHook = (stream) => (stream.context as Talker).pump();
    handler.endHook = (stream) => (stream.context as Talker).credit();
  }
  link.serverHandler.headersHook = (stream) => {
    const entry = talkers[(stream.id - 1) / 2]!;
    const talker = new Talker(stream, total(), seed + stream.id);
    entry.down = talker;
    stream.context = talker;
    stream.sendHeaders(OK, false);
    talker.pump();
  };
  link.clientHandler.closeHook = (stream, error) => {
    talkers[(stream.id - 1) / 2]!.closes.push(error?.code ?? 'clean');
  };

  const count = 1 + rng.integer(12);
  for (let i = 0; i < count; i++) {
    const stream = link.client.openStream(CONNECT, false)!;
    const talker = new Talker(stream, total(), seed * 31 + i);
    stream.context = talker;
    talkers.push({ up: talker, down: null, closes: [] });
    talker.pump();
  }
  settle(link, talkers, 1 + rng.integer(tiny ? 100 : 30_000), 1 + rng.integer(tiny ? 1000 : 100_000));

  for (const { up, down, closes } of talkers) {
    assert.ok(down !== null);
    assert.deepEqual(closes, ['clean']);
    assert.equal(down.received.digest('hex'), up.sent.digest('hex'));
    assert.equal(up.received.digest('hex'), down.sent.digest('hex'));
  }
  assert.equal(link.client.activeStreams + link.server.activeStreams, 0);
}

/** A link at rest may only wait for readers that owe credit. */
function settle(link: Link, talkers: { up: Talker; down: Talker | null }[], piece: number, room: number): void {
  for (let rounds = 0; rounds < 10_000; rounds++) {
    link.run(piece, room);
    if (link.client.activeStreams + link.server.activeStreams === 0) return;
    for (const { up, down } of talkers) {
      up.credit();
      down?.credit();
    }
  }
  assert.fail('streams are left that nobody moves');
}

test('bytes arrive whole and in order both ways, however windows are set and bytes are cut', () => {
  for (let seed = 1; seed <= 40; seed++) converse(seed);
});
