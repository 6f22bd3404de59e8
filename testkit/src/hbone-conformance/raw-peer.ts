/** HTTP/2 peers by hand, for what our own client and server never send. */
import type { AmbitError } from '@ambit/base/errors';
import { type Connection, HEADROOM_BYTES, type Receiver } from '@ambit/net/engine';
import { HBONE_LIMITS } from '@ambit/net/limits';
import {
  type HeaderList,
  type Http2Handler,
  Http2Session,
  type Http2Stream,
  type Http2StreamLike,
} from '@ambit/wire/http2';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '../authority.ts';
import type { Mesh } from './world.ts';

/** A session on a connection, with a log of what came and the means to stop reading. */
export class RawPeer implements Receiver {
  readonly connection: Connection;
  readonly session: Http2Session;
  /** Reads and throws away: no answer to anything any more. */
  deaf = false;
  closed = false;
  error: AmbitError | null = null;
  goaways = 0;
  /** The bytes that came since it was deaf. */
  unheard: number[] = [];
  readonly #statuses = new Map<number, string>();

  constructor(mesh: Mesh, role: 'client' | 'server', connection: Connection, onRequest: OnRequest | null) {
    this.connection = connection;
    const handler: Http2Handler = {
      onHeaders: (stream, headers) => {
        if (onRequest !== null) onRequest(this, stream);
        else this.#statuses.set(stream.id, headers[1]!);
      },
      onData: (stream, _bytes, _offset, length) => stream.consume(length),
      onEnd: () => {},
      onWritable: () => {},
      onStreamClose: () => {},
      onSettings: () => {},
      onPong: () => {},
      onGoaway: () => {
        this.goaways++;
      },
      onSessionClose: () => connection.end(),
    };
    this.session = new Http2Session(rawOptions(mesh, role), connection, handler);
    connection.receive(this);
    this.session.start();
  }

  /** '': no response yet. */
  statusOf(stream: Http2StreamLike): string {
    return this.#statuses.get(stream.id) ?? '';
  }

  request(headers: HeaderList): Http2Stream {
    const stream = this.session.openStream(headers, false);
    if (stream === null) throw new Error('no stream can be opened');
    return stream;
  }

  connect(authority: string): Http2Stream {
    return this.request([':method', 'CONNECT', ':authority', authority]);
  }

  answer(stream: Http2StreamLike, status: string, end: boolean): void {
    stream.sendHeaders([':status', status], end);
  }

  send(stream: Http2StreamLike, text: string, end: boolean): void {
    const bytes = new Uint8Array(HEADROOM_BYTES + text.length);
    bytes.set(Buffer.from(text, 'latin1'), HEADROOM_BYTES);
    stream.sendData(bytes, HEADROOM_BYTES, text.length, end);
  }

  creditBytes(): number {
    return 2 ** 20;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    if (this.deaf) this.unheard.push(...bytes.subarray(offset, offset + length));
    else this.session.receive(bytes, offset, length);
  }

  onEnd(): void {
    this.connection.end();
  }

  onWritable(): void {
    this.session.transportWritable();
  }

  onClose(error: AmbitError | null): void {
    this.closed = true;
    this.error = error;
    this.session.close(error);
  }
}

export type OnRequest = (peer: RawPeer, stream: Http2StreamLike) => void;

export class RawClient extends RawPeer {
  readonly #mesh: Mesh;

  constructor(mesh: Mesh, connection: Connection) {
    super(mesh, 'client', connection, null);
    this.#mesh = mesh;
  }

  static async connect(mesh: Mesh): Promise<RawClient> {
    const { world } = mesh;
    const tls = world.clientEngine.tlsContext(await materialFor(CLIENT_IDENTITY));
    let client: RawClient | null = null;
    let failure: AmbitError | null = null;
    world.clientEngine.connect(
      { ip: world.serverIp, port: mesh.listener.address.port, tls },
      {
        onOpen: (connection) => {
          client = new RawClient(mesh, connection);
        },
        onFail: (error) => {
          failure = error;
        },
      },
    );
    await world.until(() => client !== null || failure !== null);
    if (client === null) throw failure;
    return client;
  }

  /** As many bytes as the server's window lets through. */
  async fill(stream: Http2StreamLike, count: number): Promise<void> {
    const bytes = new Uint8Array(HEADROOM_BYTES + 16_384);
    let left = count;
    while (left > 0) {
      await this.#mesh.world.until(() => stream.sendableBytes() > 0);
      const length = Math.min(left, stream.sendableBytes(), bytes.length - HEADROOM_BYTES);
      stream.sendData(bytes, HEADROOM_BYTES, length, false);
      left -= length;
    }
  }
}

export interface RawServer {
  readonly address: { readonly destinationIp: string; readonly destinationPort: number };
  readonly peers: RawPeer[];
  close(): void;
}

/** A server with the right certificate and its own idea of HTTP/2. */
export async function rawServer(mesh: Mesh, onRequest: OnRequest): Promise<RawServer> {
  const peers: RawPeer[] = [];
  return rawListener(mesh, peers, (connection) => {
    peers.push(new RawPeer(mesh, 'server', connection, onRequest));
  });
}

/** A listener with the right certificate and no idea of HTTP/2. */
export async function rawListener(
  mesh: Mesh,
  peers: RawPeer[],
  onConnection: (connection: Connection) => void,
): Promise<RawServer> {
  const { serverEngine, serverIp } = mesh.world;
  const tls = serverEngine.tlsContext(await materialFor(SERVER_IDENTITY));
  const listener = serverEngine.listen({ ip: serverIp, port: 0, tls }, onConnection);
  return {
    address: { destinationIp: serverIp, destinationPort: listener.address.port },
    peers,
    close: () => listener.close(),
  };
}

function rawOptions(mesh: Mesh, role: 'client' | 'server'): ConstructorParameters<typeof Http2Session>[0] {
  const engine = role === 'client' ? mesh.world.clientEngine : mesh.world.serverEngine;
  return {
    role,
    streamWindowInitialBytes: 65_535,
    streamWindowMaxBytes: 65_535,
    connectionWindowBytes: 1024 * 1024,
    frameSizeMaxBytes: 16_384,
    headerListMaxBytes: 16_384,
    concurrentStreamsMax: role === 'client' ? 0 : 100,
    headerTableMaxBytes: HBONE_LIMITS.headerTableMaxBytes,
    continuationsMax: 4,
    nowMs: () => engine.nowMs(),
    resetsPer10sMax: 10_000,
    idleFramesPer10sMax: 10_000,
    answersQueuedMax: 1000,
  };
}
