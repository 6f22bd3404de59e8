/**
 * An HTTP/2 listener without TLS (prior knowledge) for h2spec: every request, once it has ended, is answered by 200 and
 * a small body.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { asAmbitError } from '@ambit/base/errors';
import {
  type HeaderList,
  type Http2Handler,
  type Http2Options,
  Http2Session,
  type Http2StreamLike,
  type Http2Transport,
} from '@ambit/wire/http2';

const HEADROOM_BYTES = 16;
const BODY = 'It works.\n';

export const H2SPEC_OPTIONS: Http2Options = {
  role: 'server',
  streamWindowInitialBytes: 65_535,
  streamWindowMaxBytes: 1_048_576,
  connectionWindowBytes: 1_048_576,
  frameSizeMaxBytes: 16_384,
  headerListMaxBytes: 65_536,
  concurrentStreamsMax: 100,
  headerTableMaxBytes: 4096,
  continuationsMax: 32,
  nowMs: () => performance.now(),
  resetsPer10sMax: 1000,
  idleFramesPer10sMax: 1000,
  answersQueuedMax: 1000,
};

/** Listens on a free port of loopback. */
export function listenForH2spec(): Promise<Server> {
  const server = createServer({ noDelay: true }, serve);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function serve(socket: Socket): void {
  const session = new Http2Session(H2SPEC_OPTIONS, new SocketTransport(socket), new HelloHandler(socket));
  socket.on('data', (bytes: Buffer) => {
    session.receive(bytes, 0, bytes.length);
  });
  socket.on('drain', () => session.transportWritable());
  socket.on('error', (error) => session.close(asAmbitError(error)));
  socket.on('close', () => session.close(null));
  session.start();
}

class SocketTransport implements Http2Transport {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(bytes: Uint8Array, offset: number, length: number): void {
    this.#socket.write(bytes.slice(offset, offset + length));
  }

  writableBytes(): number {
    return Math.max(0, this.#socket.writableHighWaterMark - this.#socket.writableLength);
  }
}

/** `stream.context` is how many bytes of the body have gone; undefined before the answer. */
class HelloHandler implements Http2Handler {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  onHeaders(stream: Http2StreamLike, _headers: HeaderList, _endStream: boolean): void {
    stream.context ??= 0;
  }

  onData(stream: Http2StreamLike, _bytes: Uint8Array, _offset: number, length: number): void {
    stream.consume(length);
  }

  onEnd(stream: Http2StreamLike): void {
    stream.sendHeaders([':status', '200', 'content-type', 'text/plain', 'content-length', String(BODY.length)], false);
    this.onWritable(stream);
  }

  onWritable(stream: Http2StreamLike): void {
    let sent = stream.context as number;
    while (sent < BODY.length) {
      const length = Math.min(BODY.length - sent, stream.sendableBytes());
      if (length === 0) break;
      const bytes = new Uint8Array(HEADROOM_BYTES + length);
      for (let i = 0; i < length; i++) bytes[HEADROOM_BYTES + i] = BODY.charCodeAt(sent + i);
      sent += length;
      stream.context = sent;
      stream.sendData(bytes, HEADROOM_BYTES, length, sent === BODY.length);
    }
  }

  onStreamClose(): void {}
  onSettings(): void {}
  onPong(): void {}
  onGoaway(): void {}

  onSessionClose(): void {
    this.#socket.destroySoon();
  }
}
