/** The other side is nghttp2, by way of node:http2 over an in-memory pair: it must read our blocks, and we its. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { type Duplex, duplexPair } from 'node:stream';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { HpackDecoder, HpackEncoder } from './index.ts';

const FRAME_HEADER_BYTES = 9;
const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const CONTINUATION = 9;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const LIST_MAX_BYTES = 65_536;
const REQUESTS = 40;

for (const tableBytes of [0, 64, 300, 4096, 65_536]) {
  test(`we decode what nghttp2 encodes for a table of ${tableBytes} bytes`, () => decodesNghttp2(tableBytes));
  test(`nghttp2 decodes what we encode for a table of ${tableBytes} bytes`, () => nghttp2Decodes(tableBytes));
}

/** A client and a server of Node's talk, and every byte between them is also read by us. */
async function decodesNghttp2(tableBytes: number): Promise<void> {
  const settings = { headerTableSize: tableBytes };
  const [clientSide, clientTap] = duplexPair();
  const [serverTap, serverSide] = duplexPair();
  const requests: string[][] = [];
  const responses: string[][] = [];
  tap(clientTap, serverTap, PREFACE.length, tableBytes, requests);
  tap(serverTap, clientTap, 0, tableBytes, responses);
  const requestsSeen: string[][] = [];
  const responsesSeen: string[][] = [];
  const server = http2.performServerHandshake(serverSide, { settings });
  server.on('stream', (stream, _headers, _flags, raw) => {
    requestsSeen.push([...raw]);
    stream.respond(fieldsOf(responsesSeen.length), { endStream: true });
  });
  const client = http2.connect('http://shop.test', { createConnection: () => clientSide, settings });
  try {
    for (let i = 0; i < REQUESTS; i += 1) {
      const stream = client.request({ ...fieldsOf(i), ':path': `/${i}` });
      await new Promise<void>((resolve, reject) => {
        stream.on('error', reject);
        stream.on('response', (_headers, _flags, raw: string[]) => {
          responsesSeen.push([...raw]);
          stream.on('close', resolve).resume();
        });
      });
    }
    assert.equal(requestsSeen.length, REQUESTS);
    assert.deepEqual(requests, requestsSeen);
    assert.deepEqual(responses, responsesSeen);
  } finally {
    client.destroy();
    server.destroy();
  }
}

/** Frames of our own go to a server of Node's, which says what it read. */
async function nghttp2Decodes(tableBytes: number): Promise<void> {
  const [ours, serverSide] = duplexPair();
  const server = http2.performServerHandshake(serverSide, { settings: { headerTableSize: tableBytes } });
  const seen: string[][] = [];
  const sent: string[][] = [];
  const done = new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.on('stream', (stream, _headers, _flags, raw) => {
      seen.push([...raw]);
      stream.on('error', reject);
      stream.respond({ ':status': 200 }, { endStream: true });
      if (seen.length === REQUESTS) resolve();
    });
  });
  try {
    const encoder = new HpackEncoder();
    ours.write(PREFACE);
    ours.write(frame(SETTINGS, 0, 0, new Uint8Array(0)));
    const scan = new FrameScanner(0);
    ours.on('data', (chunk: Buffer) => {
      for (const { type, flags } of scan.push(chunk)) {
        if (type !== SETTINGS || (flags & ACK) !== 0) continue;
        ours.write(frame(SETTINGS, ACK, 0, new Uint8Array(0)));
        encoder.setTableMax(tableBytes);
        for (let i = 0; i < REQUESTS; i += 1) {
          const fields = Object.entries(fieldsOf(i)).flat();
          const headers = [':method', 'GET', ':scheme', 'http', ':authority', 'shop.test', ':path', `/${i}`, ...fields];
          sent.push(headers);
          const block = new Uint8Array(encoder.encodedMaxBytes(headers));
          const length = encoder.encode(headers, block, 0);
          ours.write(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block.subarray(0, length)));
        }
      }
    });
    await done;
    assert.deepEqual(seen, sent);
  } finally {
    server.destroy();
    ours.destroy();
  }
}

/** Some repeat, some vary, some hold every character a value may have; the same for the same number. */
function fieldsOf(i: number): Record<string, string> {
  const rng = seededRng(i);
  const bytes = Array.from({ length: 1 + rng.integer(120) }, () => 0x21 + rng.integer(0xff - 0x21));
  return {
    baggage: 'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop',
    'x-value': String.fromCharCode(...bytes.filter((byte) => byte !== 0x7f)),
    [`x-name-${i % 7}`]: `${i % 5}`,
    authorization: `Bearer ${i % 2}`,
    'x-long': 'l'.repeat(rng.integer(2) * 5000),
    etag: `"${rng.integer(1000)}"`,
  };
}

/** Passes everything on, and decodes the header blocks that go from one side to the other. */
function tap(from: Duplex, to: Duplex, skipBytes: number, tableBytes: number, lists: string[][]): void {
  const scan = new FrameScanner(skipBytes);
  const decoder = new HpackDecoder(tableBytes, LIST_MAX_BYTES);
  let block: Uint8Array[] = [];
  from.on('data', (chunk: Buffer) => {
    to.write(chunk);
    for (const { type, flags, payload } of scan.push(chunk)) {
      assert.ok(type !== DATA || payload.length === 0);
      if (type === SETTINGS && (flags & ACK) !== 0) decoder.settingsAcknowledged();
      if (type !== HEADERS && type !== CONTINUATION) continue;
      assert.equal(flags & PADDED, 0);
      block.push(type === HEADERS && (flags & PRIORITY) !== 0 ? payload.subarray(5) : payload);
      if ((flags & END_HEADERS) === 0) continue;
      const whole = Buffer.concat(block);
      block = [];
      assert.equal(decoder.decode(whole, 0, whole.length), 'ok');
      lists.push(decoder.headers);
    }
  });
}

class FrameScanner {
  #bytes = Buffer.alloc(0);
  #skipBytes: number;

  constructor(skipBytes: number) {
    this.#skipBytes = skipBytes;
  }

  *push(chunk: Buffer): Generator<{ type: number; flags: number; payload: Buffer }> {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < this.#skipBytes) return;
    this.#bytes = this.#bytes.subarray(this.#skipBytes);
    this.#skipBytes = 0;
    while (this.#bytes.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) return;
      const frame = this.#bytes.subarray(0, end);
      this.#bytes = this.#bytes.subarray(end);
      yield { type: frame[3]!, flags: frame[4]!, payload: frame.subarray(FRAME_HEADER_BYTES) };
    }
  }
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}
