/**
 * Carries a delta client over gRPC (`DeltaAggregatedResources`, ztunnel facts 1.1, 1.5): one stream at a time, a fresh
 * connection for each, responses one after the other. It decides nothing about resources.
 */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '@ambit/proto/discovery';
import { fromBinary, toBinary } from '@ambit/proto/protobuf';
import { type Client, type ClientDuplexStream, connectivityState, type Metadata } from '@grpc/grpc-js';
import { nextBackoff, type StreamEnd } from './backoff.ts';
import type { DeltaClient } from './delta-client.ts';
import { type After, type Cancellable, Demands } from './demands.ts';
import { xdsError } from './errors.ts';
import { BACKOFF_FIRST_MS, CONNECT_TIMEOUT_MS } from './limits.ts';

/** A connection to the control plane that nobody else uses, and the headers of its one call. */
export interface XdsConnection {
  readonly client: Client;
  readonly metadata: Metadata;
}

export interface GrpcTransportDeps {
  readonly delta: DeltaClient;
  /** Called for every stream, so that roots and token are read anew. */
  readonly connect: () => Promise<XdsConnection>;
  readonly after: After;
  /** Monotonic. */
  readonly clock: { nowMs(): number };
  readonly log: Log;
  /**
   * Waited for between applying a response and acknowledging it: the data children have it too. It settles in any case;
   * where it rejects, the stream is begun anew.
   */
  readonly committed?: () => Promise<void>;
  /** Once. */
  readonly onReady?: () => void;
}

export interface XdsCounters {
  streamsOpened: number;
  streamsFailed: number;
  responses: number;
  nacks: number;
}

type Channel = ReturnType<Client['getChannel']>;
type Call = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

export class GrpcTransport {
  readonly counters: XdsCounters = { streamsOpened: 0, streamsFailed: 0, responses: 0, nacks: 0 };
  readonly #deps: GrpcTransportDeps;
  readonly #demands: Demands;
  /** Null while there is no stream. */
  #call: Call | null = null;
  #sleep: { readonly timer: Cancellable; readonly wake: () => void } | null = null;
  #running: Promise<void> | null = null;
  #isReady = false;
  #closed = false;

  constructor(deps: GrpcTransportDeps) {
    this.#deps = deps;
    this.#demands = new Demands(deps.after);
  }

  get isConnected(): boolean {
    return this.#call !== null;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the control plane has said what the name is, or that it is nothing, and the consumer knows it. */
  async demand(name: string): Promise<void> {
    if (this.#closed) throw closedError();
    const waiting = this.#demands.waiting(name);
    if (waiting !== undefined) return waiting;
    const added = this.#demands.add(name);
    const request = this.#deps.delta.demand(name);
    this.#call?.write(request);
    return added;
  }

  /** Resolves when nothing is left of it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#demands.rejectAll(closedError());
    this.#call?.cancel();
    this.#sleep?.timer.cancel();
    this.#sleep?.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    let backoffMs = BACKOFF_FIRST_MS;
    while (!this.#closed) {
      const startedMs = clock.nowMs();
      const end = await this.#stream();
      if (this.#closed) return;
      const livedMs = clock.nowMs() - startedMs;
      const next = nextBackoff(backoffMs, end, livedMs);
      backoffMs = next.backoffMs;
      if (end.is !== 'ended') this.counters.streamsFailed += 1;
      log.warn('xds stream ended', {
        end: end.is,
        lived_ms: Math.round(livedMs),
        retry_ms: next.delayMs,
        error: end.is === 'ended' ? undefined : end.error,
      });
      if (next.delayMs > 0) await this.#wait(next.delayMs);
    }
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleep = null;
        resolve();
      };
      this.#sleep = { timer: this.#deps.after(delayMs, wake), wake };
    });
  }

  /** From connecting to the end of the stream; never rejects. */
  async #stream(): Promise<StreamEnd> {
    let connection: XdsConnection;
    try {
      connection = await this.#deps.connect();
    } catch (thrown) {
      return { is: 'connectFailed', error: asAmbitError(thrown) };
    }
    const { client, metadata } = connection;
    if (this.#closed) {
      client.close();
      return { is: 'ended' };
    }
    const call: Call = client.makeBidiStreamRequest(PATH, encodeRequest, decodeResponse, metadata);
    // A cancelled call reports an error when nobody iterates any more.
    call.on('error', () => {});
    const connecting = new Connecting(client.getChannel(), this.#deps.after, () => call.cancel());
    this.#call = call;
    this.counters.streamsOpened += 1;
    try {
      for (const request of this.#deps.delta.open()) call.write(request);
      for await (const response of call) await this.#respond(call, response as DeltaDiscoveryResponse);
      return { is: 'ended' };
    } catch (thrown) {
      return endOf(thrown, connecting.isDone);
    } finally {
      this.#call = null;
      connecting.stop();
      call.cancel();
      client.close();
    }
  }

  async #respond(call: Call, response: DeltaDiscoveryResponse): Promise<void> {
    const { delta, committed, log, onReady } = this.#deps;
    this.counters.responses += 1;
    log.debug('xds response', {
      type_url: response.typeUrl,
      nonce: response.nonce,
      resources: response.resources.length,
      removed: response.removedResources.length,
    });
    const reply = delta.receive(response);
    if (committed !== undefined) await committed();
    if (reply.rejections.length > 0) this.counters.nacks += 1;
    call.write(delta.acknowledge(reply));
    this.#demands.answered(reply.answeredNames);
    if (this.#isReady || !delta.isReady) return;
    this.#isReady = true;
    onReady?.();
  }
}

/** Whether a channel came up, and a deadline for it. */
class Connecting {
  isDone = false;
  readonly #channel: Channel;
  readonly #timer: Cancellable;

  constructor(channel: Channel, after: After, giveUp: () => void) {
    this.#channel = channel;
    this.#timer = after(CONNECT_TIMEOUT_MS, giveUp);
    this.#look();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #look(): void {
    const state = this.#channel.getConnectivityState(false);
    if (state === connectivityState.SHUTDOWN) return;
    if (state === connectivityState.READY) {
      this.isDone = true;
      this.#timer.cancel();
      return;
    }
    this.#channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => this.#look());
  }
}

/** gRPC's errors carry a number; everything else was thrown on this side. */
function endOf(thrown: unknown, wasConnected: boolean): StreamEnd {
  if (!(thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number')) {
    return { is: 'fault', error: asAmbitError(thrown) };
  }
  const error = xdsError('XDS_STREAM_FAILED', thrown.message, thrown);
  return wasConnected
    ? { is: 'status', code: thrown.code, details: thrown.message, error }
    : { is: 'connectFailed', error };
}

function encodeRequest(request: DeltaDiscoveryRequest): Buffer {
  const bytes = toBinary(DeltaDiscoveryRequestSchema, request);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeResponse(bytes: Buffer): DeltaDiscoveryResponse {
  return fromBinary(DeltaDiscoveryResponseSchema, bytes);
}

function closedError(): AmbitError {
  return xdsError('XDS_CLOSED', 'the stream to the control plane is closed');
}
