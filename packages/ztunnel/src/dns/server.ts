/**
 * The DNS proxy of one pod (Istio's ztunnel: src/dns): names of the mesh are answered here, all others by the nameservers
 * of the node. Its addresses, 127.0.0.1 and ::1 at 15053 in the pod's namespace, are where redirection sends port 53.
 */
import type { Rng } from '@ambit/base/rng';
import { type DnsLookup, type DnsRules, lookupName, type NameIndex } from '@ambit/model/dns-lookup';
import type { Workload } from '@ambit/model/workload';
import type { BindDatagramOptions, DatagramEngine, DatagramReceiver, DatagramSocket } from '@ambit/net/datagram';
import type { Connection, Engine, EngineTimer, Listener, ListenOptions, SocketAddress } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { answerCount, rcodeOf, relayAnswer, writeAnswer, writeError } from './answer.ts';
import { type DnsCount, DnsCounters, type DnsProtocol, recordDuration } from './counters.ts';
import { DnsStream } from './dns-stream.ts';
import type { Forwarder } from './forwarder.ts';
import { TCP_CONNECTIONS_MAX } from './limits.ts';
import { NOERROR, NXDOMAIN, SERVFAIL } from './message.ts';
import { parseQuery, type Query, udpAnswerBytesMax } from './query.ts';

export interface DnsServerOptions {
  readonly rules: DnsRules;
  /** As in resolv.conf; null for what Kubernetes gives a pod of the client's namespace (shared mode). */
  readonly searchDomains: readonly string[] | null;
}

export interface DnsServerDeps {
  readonly engine: Engine;
  readonly datagrams: DatagramEngine;
  readonly index: NameIndex;
  /** The pod; null while it is not known, which fails its queries. */
  readonly client: () => Workload | null;
  readonly forwarder: Forwarder;
  readonly rng: Rng;
  /** What Istio's ztunnel logs in its scope `dns` at DEBUG. */
  readonly onQuery?: (record: DnsQueryRecord) => void;
}

export interface DnsQueryRecord {
  readonly client: Workload | null;
  readonly type: string;
  readonly name: string;
  readonly result: string;
  readonly endpoints: number;
}

export type Reply = (answer: Uint8Array) => void;

export class DnsServer {
  readonly counters = new DnsCounters();
  readonly #options: DnsServerOptions;
  readonly #deps: DnsServerDeps;
  readonly #sockets: DatagramSocket[] = [];
  readonly #listeners: Listener[] = [];
  readonly #streams = new Set<DnsStream>();

  constructor(options: DnsServerOptions, deps: DnsServerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  listenUdp(options: BindDatagramOptions): SocketAddress {
    const receiver = new UdpEntry(this);
    receiver.socket = this.#deps.datagrams.bindDatagram(options, receiver);
    this.#sockets.push(receiver.socket);
    return receiver.socket.address;
  }

  listenTcp(options: ListenOptions): SocketAddress {
    const listener = this.#deps.engine.listen(options, (connection) => this.#accept(connection));
    this.#listeners.push(listener);
    return listener.address;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    for (const listener of this.#listeners) listener.close();
    for (const stream of this.#streams) stream.abort('the DNS proxy of this pod has ended');
    this.#deps.forwarder.close();
  }

  /** `reply` is called once, perhaps before this returns; not at all once the result was cancelled. */
  handle(query: Query, protocol: DnsProtocol, bytesMax: number, reply: Reply): EngineTimer | null {
    const client = this.#deps.client();
    const count = this.counters.of(query.type, protocol);
    count.requests += 1;
    if (client === null) {
      this.#record(client, query, 'unknown source', 0);
      reply(writeError(query, SERVFAIL));
      return null;
    }
    const lookup = this.#lookup(client, query);
    if (lookup.is === 'forward') return this.#forward(client, query, protocol, count, bytesMax, reply);
    this.#record(client, query, resultOf(lookup), lookup.is === 'answer' ? lookup.addresses.length : 0);
    const { name, isAlias, addresses } =
      lookup.is === 'answer' ? lookup : { name: query.name, isAlias: false, addresses: [] };
    const bytes = addresses.map((address) => address.toBytes());
    reply(writeAnswer(query, { rcode: NOERROR, isAuthoritative: true, name, isAlias, addresses: bytes }, bytesMax));
    return null;
  }

  #lookup(client: Workload, query: Query): DnsLookup {
    if (!query.isForHost) return { is: 'forward', reason: 'unknown-name' };
    const { namespace, network } = client;
    const { rules, searchDomains } = this.#options;
    return lookupName(this.#deps.index, rules, { namespace, network, searchDomains }, query, this.#deps.rng);
  }

  #forward(
    client: Workload,
    query: Query,
    protocol: DnsProtocol,
    count: DnsCount,
    bytesMax: number,
    reply: Reply,
  ): EngineTimer {
    const { engine, forwarder } = this.#deps;
    count.upstreamRequests += 1;
    const startMs = engine.nowMs();
    return forwarder.forward(query, protocol, (answer) => {
      recordDuration(count, (engine.nowMs() - startMs) / 1000);
      if (isFailure(answer)) count.upstreamFailures += 1;
      if (answer === null) {
        this.#record(client, query, 'forwarding failed (no answer)', 0);
        reply(writeError(query, SERVFAIL));
        return;
      }
      this.#record(client, query, 'forwarded', answerCount(answer));
      reply(relayAnswer(query, answer, bytesMax));
    });
  }

  #record(client: Workload | null, { type, name }: Query, result: string, endpoints: number): void {
    this.#deps.onQuery?.({ client, type, name, result, endpoints });
  }

  #accept(connection: Connection): void {
    const stream = new DnsStream(this, this.#deps.engine, connection, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    if (this.#streams.size > TCP_CONNECTIONS_MAX) connection.abort(aborted('too many DNS connections of one pod'));
  }
}

class UdpEntry implements DatagramReceiver {
  readonly #server: DnsServer;
  socket: DatagramSocket | null = null;

  constructor(server: DnsServer) {
    this.#server = server;
  }

  onDatagram(bytes: Uint8Array, offset: number, length: number, from: SocketAddress): void {
    const parsed = parseQuery(bytes, offset, length);
    const reply: Reply = (answer) => this.socket?.send(answer, 0, answer.length, from);
    if (parsed.is === 'query') this.#server.handle(parsed.query, 'udp', udpAnswerBytesMax(parsed.query), reply);
    else if (parsed.is === 'refused') reply(parsed.answer);
    else this.#server.counters.dropped += 1;
  }

  onError(): void {}
}

/** In the words of Istio's log. */
function resultOf(lookup: Exclude<DnsLookup, { readonly is: 'forward' }>): string {
  if (lookup.is === 'answer') return 'success';
  return lookup.reason === 'no-address' ? 'no records' : 'service does not support this record type';
}

/** A name that does not exist is an answer like any other; a server that could not tell is none. */
function isFailure(answer: Uint8Array | null): boolean {
  return answer === null || (rcodeOf(answer) !== NOERROR && rcodeOf(answer) !== NXDOMAIN);
}
