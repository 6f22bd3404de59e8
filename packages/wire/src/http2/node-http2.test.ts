/** Against `node:http2` (nghttp2) over loopback, in both roles. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo, type Socket } from 'node:net';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { Http2Session } from './session.ts';
import { Recorder, testOptions } from './test-support.ts';
import { Http2ErrorCode as Code, type HeaderList, type Http2Options, type Http2StreamLike } from './types.ts';

const BODY = seededRng(7).bytes(5 * 1024 * 1024);
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function attach(socket: Socket, role: 'client' | 'server', handler: Recorder): Http2Session {
  const options: Partial<Http2Options> = { nowMs: () => performance.now(), idleFramesPer10sMax: 1000 };
  const transport = {
    write: (bytes: Uint8Array, offset: number, length: number) => {
      socket.write(bytes.slice(offset, offset + length));
    },
    writableBytes: () => Math.max(0, 65_536 - socket.writableLength),
  };
  socket.setNoDelay(true);
  const session = new Http2Session(testOptions(role, options), transport, handler);
  socket.on('data', (bytes: Buffer) => session.receive(bytes, 0, bytes.length));
  socket.on('drain', () => session.transportWritable());
  socket.on('error', () => {});
  socket.on('close', () => session.close(null));
  session.start();
  return session;
}

/** Sends a body whenever there is room, then ends with trailers or without. */
class Sender {
  #sent = 0;
  readonly #body: Uint8Array;
  readonly #trailers: HeaderList | null;

  constructor(body: Uint8Array, trailers: HeaderList | null) {
    this.#body = body;
    this.#trailers = trailers;
  }

  pump(stream: Http2StreamLike): void {
    while (this.#sent < this.#body.length) {
      const length = Math.min(stream.sendableBytes(), this.#body.length - this.#sent);
      if (length === 0) return;
      const bytes = new Uint8Array(9 + length);
      bytes.set(this.#body.subarray(this.#sent, this.#sent + length), 9);
      this.#sent += length;
      stream.sendData(bytes, 9, length, this.#trailers === null && this.#sent === this.#body.length);
    }
    if (this.#trailers !== null && !stream.localEnded) stream.sendHeaders(this.#trailers, true);
  }
}

async function ourServer(
  use: (client: http2.ClientHttp2Session, handler: Recorder, session: Http2Session) => Promise<void>,
) {
  const handler = new Recorder();
  let session: Http2Session | undefined;
  const server = net.createServer((socket) => {
    session = attach(socket, 'server', handler);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => {});
  await once(client, 'connect');
  try {
    // One exchange, so that the session is there.
    await new Promise((resolve) => client.ping(resolve));
    await use(client, handler, session!);
  } finally {
    client.destroy();
    server.close();
  }
}

async function ourClient(
  listener: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  use: (session: Http2Session, handler: Recorder, peer: http2.ServerHttp2Session) => Promise<void>,
) {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 50 } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    listener(stream as http2.ServerHttp2Stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'session');
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const handler = new Recorder();
  const session = attach(socket, 'client', handler);
  try {
    await use(session, handler, ((await accepted) as [http2.ServerHttp2Session])[0]);
  } finally {
    socket.destroy();
    server.close();
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 5) {
    assert.ok(waitedMs < 20_000, 'it does not come about');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Collects bodies by stream. */
function collect(handler: Recorder): Map<number, Uint8Array[]> {
  const bodies = new Map<number, Uint8Array[]>();
  handler.dataHook = (stream, bytes, offset, length) => {
    const body = bodies.get(stream.id) ?? [];
    body.push(bytes.slice(offset, offset + length));
    bodies.set(stream.id, body);
  };
  return bodies;
}

test('a node client posts 5 MB and reads 5 MB, with trailers both ways', async () => {
  await ourServer(async (client, handler) => {
    const bodies = collect(handler);
    handler.headersHook = (stream) => {
      if (stream.headersKind !== 'request') return;
      stream.sendHeaders([':status', '200', 'content-length', String(BODY.length), 'x-latin1', 'caf\xe9'], false);
      const sender = new Sender(BODY, ['x-sum', 'abc']);
      stream.context = sender;
      sender.pump(stream);
    };
    handler.writableHook = (stream) => (stream.context as Sender).pump(stream);
    const request = client.request({ ':method': 'POST', ':path': '/echo' }, { waitForTrailers: true } as object);
    request.on('wantTrailers', () => request.sendTrailers({ 'x-up': 'sum' }));
    const trailers = once(request, 'trailers');
    request.end(BODY);
    const [headers] = (await once(request, 'response')) as [http2.IncomingHttpHeaders];
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    assert.equal(sha(Buffer.concat(chunks)), sha(BODY));
    assert.equal(headers['x-latin1'], 'caf\xe9');
    assert.equal(((await trailers) as [http2.IncomingHttpHeaders])[0]['x-sum'], 'abc');
    await until(() => handler.events.includes('close 1 clean'));
    assert.equal(sha(Buffer.concat(bodies.get(1)!)), sha(BODY));
    assert.ok(handler.events.includes('trailers 1 x-up sum end'));
  });
});

test('headers survive both ways while the tables fill and turn over', async () => {
  await ourServer(async (client, handler) => {
    handler.headersHook = (stream, headers) => {
      const echoed = headers.filter((_text, index) => headers[index - (index % 2)]?.startsWith('x-'));
      stream.sendHeaders([':status', '200', ...echoed], true);
    };
    const rng = seededRng(11);
    for (let round = 0; round < 120; round++) {
      const sent: Record<string, string> = {};
      for (let i = 0; i < 12; i++) {
        const name = `x-${rng.integer(40)}`;
        const value = Array.from({ length: rng.integer(60) }, () => String.fromCharCode(0x21 + rng.integer(94)));
        sent[name] = rng.integer(2) === 0 ? 'the same' : value.join('');
      }
      const request = client.request({ ':path': `/${round}`, ...sent });
      const [headers] = (await once(request, 'response')) as [http2.IncomingHttpHeaders];
      request.resume();
      for (const [name, value] of Object.entries(sent)) assert.equal(headers[name], value);
    }
  });
});

test('CONNECT carries bytes both ways and half-closes, as server', async () => {
  await ourServer(async (client, handler) => {
    const bodies = collect(handler);
    handler.headersHook = (stream) => stream.sendHeaders([':status', '200'], false);
    handler.endHook = (stream) => {
      const bytes = new Uint8Array(13);
      bytes.set([1, 2, 3, 4], 9);
      stream.sendData(bytes, 9, 4, true);
    };
    const tunnel = client.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' }, { endStream: false });
    await once(tunnel, 'response');
    tunnel.end(Buffer.from('hello'));
    const chunks: Buffer[] = [];
    for await (const chunk of tunnel) chunks.push(chunk as Buffer);
    assert.deepEqual([...Buffer.concat(chunks)], [1, 2, 3, 4]);
    assert.equal(Buffer.concat(bodies.get(1)!).toString(), 'hello');
    assert.ok(handler.events.includes('request 1 :method CONNECT :authority 10.0.0.1:80'));
  });
});

test('resets carry their code both ways, as server', async () => {
  await ourServer(async (client, handler) => {
    const first = client.request({ ':method': 'POST', ':path': '/' });
    first.on('error', () => {});
    await until(() => handler.lastStream !== null);
    first.close(Code.CANCEL);
    await until(() => handler.events.includes('close 1 HTTP2_CANCEL unknown'));
    handler.headersHook = (stream) => stream.reset(Code.INTERNAL_ERROR);
    const second = client.request({ ':path': '/' });
    second.on('error', () => {});
    await new Promise((resolve) => second.on('close', resolve));
    assert.equal(second.rstCode, Code.INTERNAL_ERROR);
  });
});

test('node waits for its last stream when we drain, then both are done', async () => {
  await ourServer(async (client, handler, session) => {
    handler.headersHook = (stream) => stream.sendHeaders([':status', '200'], false);
    const request = client.request({ ':method': 'POST', ':path': '/' });
    await once(request, 'response');
    const goaway = once(client, 'goaway');
    session.drain();
    assert.equal(((await goaway) as [number])[0], 0);
    handler.endHook = (stream) => stream.sendData(new Uint8Array(9), 9, 0, true);
    request.resume();
    request.end('bye');
    await until(() => session.closed);
    assert.deepEqual(handler.events.slice(-2), ['close 1 clean', 'session drained']);
  });
});

test('a session posts 5 MB to a node server and reads it back, many streams at once', async () => {
  await ourClient(
    (stream) => {
      stream.respond({ ':status': 200, server: 'node' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.pipe(stream);
    },
    async (session, handler) => {
      await until(() => handler.events.includes('settings'));
      assert.equal(session.peerConcurrentStreamsMax, 50);
      const bodies = collect(handler);
      handler.writableHook = (stream) => (stream.context as Sender).pump(stream);
      const sizes = [BODY.length, 1, 0, 70_000, 300_000, 16_384, 65_535, 65_536];
      for (const size of sizes) {
        const headers = [':method', 'POST', ':scheme', 'http', ':path', `/${size}`, ':authority', 'a'];
        const stream = session.openStream(headers, false)!;
        const sender = new Sender(BODY.subarray(0, size), size === 0 ? ['x', 'y'] : null);
        stream.context = sender;
        sender.pump(stream);
      }
      await until(() => session.activeStreams === 0);
      sizes.forEach((size, index) => {
        const id = 2 * index + 1;
        assert.ok(handler.events.includes(`close ${id} clean`));
        assert.ok(handler.events.includes(`trailers ${id} grpc-status 0 end`));
        assert.equal(sha(Buffer.concat(bodies.get(id) ?? [])), sha(BODY.subarray(0, size)));
      });
    },
  );
});

test('CONNECT, resets, pings and GOAWAY against a node server', async () => {
  await ourClient(
    (stream, headers) => {
      if (headers[':authority'] === 'refuse:1') return stream.close(Code.REFUSED_STREAM);
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    },
    async (session, handler, peer) => {
      const connect = (authority: string) =>
        session.openStream([':method', 'CONNECT', ':authority', authority], false)!;
      const refused = connect('refuse:1');
      await until(() => refused.closed);
      assert.equal(handler.events.at(-1), 'close 1 HTTP2_REFUSED_STREAM safe');

      const tunnel = connect('echo:1');
      const bodies = collect(handler);
      tunnel.sendData(Uint8Array.from([...new Array(9).fill(0), 5, 6, 7]), 9, 3, false);
      await until(() => bodies.has(tunnel.id));
      assert.deepEqual([...bodies.get(tunnel.id)![0]!], [5, 6, 7]);

      session.ping(new Uint8Array(8).fill(9));
      await until(() => handler.events.includes(`pong ${new Array(8).fill(9).join(' ')}`));
      const theirs = await new Promise<Buffer>((resolve) => {
        peer.ping(Buffer.from('12345678'), (_error, _durationMs, payload) => resolve(payload));
      });
      assert.equal(theirs.toString(), '12345678');

      const cancelled = connect('cancel:1');
      cancelled.reset(Code.CANCEL);
      peer.goaway(Code.NO_ERROR, tunnel.id);
      await until(() => session.goingAway);
      assert.equal(session.openStream([':method', 'CONNECT', ':authority', 'a:1'], false), null);
      tunnel.sendData(new Uint8Array(9), 9, 0, true);
      await until(() => session.closed);
      assert.deepEqual(handler.events.slice(-2), [`close ${tunnel.id} clean`, 'session drained']);
    },
  );
});
