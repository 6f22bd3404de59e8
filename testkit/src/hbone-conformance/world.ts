/**
 * What the HBONE suites run on: two engines and a way to let time pass, and on them a pool, a server and streams that
 * send known bytes and hash what they get. A world is one engine implementation (memory, reactor).
 */
import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { type Rng, seededRng } from '@ambit/base/rng';
import {
  type Duplex,
  type Engine,
  type EngineTimer,
  HEADROOM_BYTES,
  type Listener,
  type Receiver,
  type TlsContext,
} from '@ambit/net/engine';
import {
  type ConnectResponder,
  HbonePool,
  HboneServer,
  type InboundCall,
  type TunnelRequest,
  type TunnelResponse,
} from '@ambit/net/hbone';
import { HBONE_LIMITS, type HboneLimits } from '@ambit/net/limits';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '../authority.ts';

export interface HboneWorld {
  readonly clientEngine: Engine;
  readonly serverEngine: Engine;
  readonly clientIp: string;
  readonly serverIp: string;
  readonly otherServerIp: string;
  /** Lets things happen until `done`; throws after a minute of the world's time. */
  until(done: () => boolean): Promise<void>;
  /** Lets this much of the world's time pass. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** `faults`: the seed may also break connections. */
export type MakeWorld = (seed: number) => Promise<HboneWorld>;

/** What keepalive, idle release and the deadlines are shortened to where a test waits for them. */
export const SHORT_LIMITS: HboneLimits = {
  ...HBONE_LIMITS,
  keepaliveIntervalMs: 100,
  keepaliveTimeoutMs: 400,
  idleReleaseMs: 300,
  responseTimeoutMs: 1000,
  waitTimeoutMs: 1500,
  connectTimeoutMs: 1000,
  closeGraceMs: 100,
};

export interface MeshOptions {
  readonly limits?: HboneLimits;
  readonly serverLimits?: HboneLimits;
  readonly serverIdentity?: string;
  readonly trustDomain?: string;
}

/** One pool, one server behind a listener, and what the server was asked. */
export class Mesh {
  readonly world: HboneWorld;
  readonly pool: HbonePool;
  readonly server: HboneServer;
  readonly listener: Listener;
  readonly clientTls: TlsContext;
  readonly serverTls: TlsContext;
  /** The client's leaf of each connection, as hex. */
  readonly leaves: string[] = [];
  readonly calls: InboundCall[] = [];
  readonly responders: ConnectResponder[] = [];
  /** Streams that were accepted, in order. */
  readonly accepted: Side[] = [];
  /** How a call is answered; the default accepts it and echoes. */
  answer: (call: InboundCall, responder: ConnectResponder) => void = (_, responder) => {
    this.echo(responder);
  };

  private constructor(world: HboneWorld, options: MeshOptions, clientTls: TlsContext, serverTls: TlsContext) {
    this.world = world;
    this.clientTls = clientTls;
    this.serverTls = serverTls;
    const limits = options.limits ?? HBONE_LIMITS;
    this.pool = new HbonePool({ engine: world.clientEngine, limits });
    this.server = new HboneServer({
      engine: world.serverEngine,
      trustDomain: options.trustDomain ?? 'cluster.local',
      limits: options.serverLimits ?? limits,
      onConnect: (call, responder) => {
        this.calls.push(call);
        this.responders.push(responder);
        this.answer(call, responder);
      },
    });
    this.listener = this.listen(world.serverIp, 0, serverTls);
  }

  static async start(world: HboneWorld, options: MeshOptions = {}): Promise<Mesh> {
    const clientTls = world.clientEngine.tlsContext(await materialFor(CLIENT_IDENTITY));
    const serverTls = world.serverEngine.tlsContext(await materialFor(options.serverIdentity ?? SERVER_IDENTITY));
    return new Mesh(world, options, clientTls, serverTls);
  }

  listen(ip: string, port: number, tls: TlsContext): Listener {
    return this.world.serverEngine.listen({ ip, port, tls }, (connection) => {
      this.leaves.push(Buffer.from(connection.tls?.leafDer ?? []).toString('hex'));
      this.server.accept(connection);
    });
  }

  request(changes: Partial<TunnelRequest> = {}): TunnelRequest {
    return {
      sourceIdentity: CLIENT_IDENTITY,
      destinationIdentities: [SERVER_IDENTITY],
      destinationIp: this.world.serverIp,
      destinationPort: this.listener.address.port,
      sourceIp: this.world.clientIp,
      tls: this.clientTls,
      connect: { authority: '10.0.0.1:80', baggage: '', forwarded: '', traceparent: '', forwardedNetwork: '' },
      ...changes,
    };
  }

  /** The tunnel's result comes later. */
  open(changes: Partial<TunnelRequest> = {}): Opening {
    const opening = new Opening();
    opening.handle = this.pool.openTunnel(this.request(changes), opening);
    return opening;
  }

  /** Opens a tunnel and waits for its stream; `sends` as of `Side`. */
  async tunnel(sends: Sending = NOTHING, changes: Partial<TunnelRequest> = {}): Promise<Side> {
    const opening = new Opening(sends);
    this.pool.openTunnel(this.request(changes), opening);
    await this.world.until(() => opening.done);
    if (opening.side === null) throw opening.error ?? new Error('neither opened nor failed');
    return opening.side;
  }

  /** The connection that the pool has is still good for one more call. */
  async tunnelStillWorks(): Promise<void> {
    const { dials } = this.pool.counters;
    this.answer = (_, responder) => this.echo(responder);
    const side = await this.tunnel({ bytes: 1000, seed: 9, end: true });
    await this.world.until(() => side.closed);
    if (side.error !== null || side.receivedBytes !== 1000) throw side.error ?? new Error('bytes were lost');
    if (dials > 0 && this.pool.counters.dials !== dials) throw new Error('the pool dialled anew');
  }

  accept(responder: ConnectResponder, sends: Sending = NOTHING): Side {
    const side = new Side(responder.accept([]), sends);
    this.accepted.push(side);
    return side;
  }

  echo(responder: ConnectResponder): void {
    const stream = responder.accept([]);
    stream.receive(new Echo(stream));
  }

  async stop(): Promise<void> {
    this.listener.close();
    this.pool.close();
    this.server.close();
    await this.world.close();
  }
}

/** Registers a test that runs on a mesh of its own and shows that no handler threw. */
export type WithMesh = (sentence: string, run: (mesh: Mesh) => Promise<void>, options?: MeshOptions) => void;

export function meshTests(name: string, makeWorld: MakeWorld): WithMesh {
  return (sentence, run, options = {}) => {
    test(`${name}: ${sentence}`, async () => {
      const mesh = await Mesh.start(await makeWorld(1), options);
      try {
        await run(mesh);
        assert.equal(mesh.pool.counters.handlerFaults + mesh.server.counters.handlerFaults, 0, 'no handler threw');
      } finally {
        await mesh.stop();
      }
      const { clientEngine, serverEngine } = mesh.world;
      assert.equal(clientEngine.counters.handlerFaults + serverEngine.counters.handlerFaults, 0, 'no timer threw');
      assert.deepEqual([mesh.pool.counters.connections, mesh.server.counters.connections], [0, 0]);
    });
  };
}

/** What a side sends by itself. `seed` decides the bytes. */
export interface Sending {
  readonly bytes: number;
  readonly seed: number;
  /** Ends its direction after the last byte. */
  readonly end: boolean;
  /** Takes nothing until `stalled` is set to false. */
  readonly stalled?: boolean;
}

export const NOTHING: Sending = { bytes: 0, seed: 0, end: false };

export class Opening {
  side: Side | null = null;
  response: TunnelResponse | null = null;
  error: AmbitError | null = null;
  handle: EngineTimer | null = null;
  /** Called with the failure. */
  onFailed: () => void = () => {};
  readonly #sends: Sending;

  constructor(sends: Sending = NOTHING) {
    this.#sends = sends;
  }

  get done(): boolean {
    return this.side !== null || this.error !== null;
  }

  onOpen(stream: Duplex, response: TunnelResponse): void {
    if (this.done) throw new Error('a second result');
    this.response = response;
    this.side = new Side(stream, this.#sends);
  }

  onFail(error: AmbitError): void {
    if (this.done) throw new Error('a second result');
    this.error = error;
    this.onFailed();
  }
}

const CHUNK_BYTES = 16 * 1024;

/** Sends what it is told, within the room there is, and hashes what it gets. */
export class Side implements Receiver {
  readonly stream: Duplex;
  receivedBytes = 0;
  ended = false;
  closed = false;
  error: AmbitError | null = null;
  stalled: boolean;
  readonly #hash: Hash = createHash('sha256');
  readonly #sending: Sending;
  readonly #rng: Rng;
  #sentBytes = 0;
  /** Made but not written: the room was short. */
  #pending: Uint8Array | null = null;

  constructor(stream: Duplex, sending: Sending = NOTHING) {
    this.stream = stream;
    this.#sending = sending;
    this.#rng = seededRng(sending.seed);
    this.stalled = sending.stalled ?? false;
    stream.receive(this);
    stream.resume();
    this.#send();
  }

  get hash(): string {
    return this.#hash.copy().digest('hex');
  }

  get allSent(): boolean {
    return this.#sentBytes === this.#sending.bytes;
  }

  flow(): void {
    this.stalled = false;
    this.stream.resume();
  }

  write(text: string): void {
    const bytes = new Uint8Array(HEADROOM_BYTES + text.length);
    bytes.set(Buffer.from(text, 'latin1'), HEADROOM_BYTES);
    this.stream.write(bytes, HEADROOM_BYTES, text.length);
  }

  creditBytes(): number {
    return this.stalled ? 0 : 2 ** 20;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    if (this.ended || this.closed) throw new Error('data after the end');
    this.receivedBytes += length;
    this.#hash.update(bytes.subarray(offset, offset + length));
    // The bytes before are the receiver's: whoever sent them must not need them any more.
    bytes.fill(0xee, offset - HEADROOM_BYTES, offset + length);
  }

  onEnd(): void {
    if (this.ended || this.closed) throw new Error('a second end');
    this.ended = true;
  }

  onWritable(): void {
    this.#send();
  }

  onClose(error: AmbitError | null): void {
    if (this.closed) throw new Error('a second close');
    this.closed = true;
    this.error = error;
  }

  #send(): void {
    const total = this.#sending.bytes;
    while (this.#sentBytes < total) {
      const room = this.stream.writableBytes();
      if (room === 0) return;
      this.#pending ??= this.#rng.bytes(Math.min(CHUNK_BYTES, total - this.#sentBytes));
      const length = Math.min(room, this.#pending.length);
      const framed = new Uint8Array(HEADROOM_BYTES + length);
      framed.set(this.#pending.subarray(0, length), HEADROOM_BYTES);
      this.stream.write(framed, HEADROOM_BYTES, length);
      this.#sentBytes += length;
      this.#pending = length === this.#pending.length ? null : this.#pending.subarray(length);
    }
    if (this.#sending.end) this.stream.end();
  }
}

/** The hash of what a `Side` with this sending sends. */
export function sentHash(sending: Sending): string {
  const rng = seededRng(sending.seed);
  const hash = createHash('sha256');
  for (let left = sending.bytes; left > 0; left -= CHUNK_BYTES) hash.update(rng.bytes(Math.min(CHUNK_BYTES, left)));
  return hash.digest('hex');
}

/** Gives back what it gets, in place, and ends when the other side ends. */
class Echo implements Receiver {
  readonly #stream: Duplex;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  creditBytes(): number {
    return this.#stream.writableBytes();
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.#stream.write(bytes, offset, length);
  }

  onEnd(): void {
    this.#stream.end();
  }

  onWritable(): void {
    this.#stream.resume();
  }

  onClose(): void {}
}
