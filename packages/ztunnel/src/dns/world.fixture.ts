/** One pod's DNS proxy on the memory engine, its upstreams over UDP and TCP, and a client of each kind. */
import assert from 'node:assert/strict';
import { seededRng } from '@ambit/base/rng';
import type { NameIndex } from '@ambit/model/dns-lookup';
import { parseIpAddress } from '@ambit/model/ip-address';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import type { DatagramSocket } from '@ambit/net/datagram';
import type { Connection } from '@ambit/net/engine';
import { MemoryNetwork } from '@ambit/net/memory';
import { type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import { Forwarder } from './forwarder.ts';
import { MemoryDatagrams } from './memory-datagrams.fixture.ts';
import { MessageReader, withLength } from './message-reader.ts';
import { type DnsQueryRecord, DnsServer } from './server.ts';

export const PROXY = { ip: '127.0.0.1', port: 15_053 };
export const UPSTREAMS = [
  { ip: '10.0.0.53', port: 53 },
  { ip: '10.0.0.54', port: 53 },
];

/** What an upstream does with a query: answers, maybe more than once, or keeps silent. */
export type Upstream = (query: Buffer) => readonly Uint8Array[];

interface WorldOptions {
  readonly upstreams: readonly (Upstream | null)[];
  readonly attempts: number;
  readonly pendingMax: number;
  readonly isClientKnown: boolean;
}

export class World {
  readonly network = new MemoryNetwork({ seed: 5 });
  readonly engine = this.network.engine('pod', { ips: ['127.0.0.1', ...UPSTREAMS.map(({ ip }) => ip)] });
  readonly datagrams = new MemoryDatagrams(this.engine);
  readonly records: DnsQueryRecord[] = [];
  readonly ids: number[] = [];
  readonly forwarder: Forwarder;
  readonly server: DnsServer;
  readonly answers: Uint8Array[] = [];
  readonly #client: DatagramSocket;

  constructor(given: Partial<WorldOptions> = {}) {
    const { upstreams = [echoing('1.1.1.1')], attempts = 2, pendingMax, isClientKnown = true } = given;
    const { engine, datagrams } = this;
    const nameservers = UPSTREAMS.slice(0, upstreams.length);
    for (const [i, upstream] of upstreams.entries()) this.#serve(UPSTREAMS[i]!, upstream);
    const options = { nameservers, timeoutMs: 1000, attempts, pendingMax, mark: 0x539, namespaceFd: 7 };
    const randomId = (): number => {
      this.ids.push(40_000 + this.ids.length);
      return this.ids.at(-1)!;
    };
    this.forwarder = new Forwarder(options, { engine, datagrams, randomId });
    this.server = new DnsServer(
      { rules: { clusterDomain: 'cluster.local', preferredNamespace: null, ipv6Enabled: true }, searchDomains: null },
      {
        engine,
        datagrams,
        index: INDEX,
        client: () => (isClientKnown ? CLIENT : null),
        forwarder: this.forwarder,
        rng: seededRng(1),
        onQuery: (record) => this.records.push(record),
      },
    );
    this.server.listenUdp(PROXY);
    this.server.listenTcp(PROXY);
    const onDatagram = (bytes: Uint8Array, offset: number, length: number): void => {
      this.answers.push(bytes.slice(offset, offset + length));
    };
    this.#client = datagrams.bindDatagram({ ip: '127.0.0.1', port: 0 }, { onDatagram, onError: () => {} });
  }

  /** By UDP; what came back within ten seconds. */
  ask(message: Uint8Array, waitMs = 10_000): DecodedPacket[] {
    this.answers.length = 0;
    this.send(message);
    this.network.run(this.engine.nowMs() + waitMs);
    return this.answers.map((answer) => decode(Buffer.from(answer)));
  }

  send(message: Uint8Array): void {
    this.#client.send(message, 0, message.length, PROXY);
  }

  /** By TCP, all on one connection. */
  stream(
    bytes: Uint8Array,
    given: { untilMs?: number; ends?: boolean } = {},
  ): { answers: DecodedPacket[]; closed: string } {
    const answers: DecodedPacket[] = [];
    const result = { answers, closed: 'open' };
    const reader = new MessageReader(65_535);
    this.network.engine('client').connect(PROXY, {
      onOpen: (connection: Connection) => {
        connection.receive({
          creditBytes: () => reader.wantedBytes,
          onData: (view, offset, length) => {
            const message = reader.take(view, offset, length);
            assert.ok(message !== 'bad length');
            if (message !== null) answers.push(decode(Buffer.from(message)));
          },
          onEnd: () => connection.end(),
          onWritable: () => {},
          onClose: (error) => {
            result.closed = error?.code ?? 'cleanly';
          },
        });
        connection.write(bytes, 0, bytes.length);
        if (given.ends === true) connection.end();
      },
      onFail: (error) => {
        result.closed = error.code;
      },
    });
    this.network.run(this.engine.nowMs() + (given.untilMs ?? 4000));
    return result;
  }

  #serve(address: { ip: string; port: number }, upstream: Upstream | null): void {
    if (upstream === null) return;
    const socket = this.datagrams.bindDatagram(address, {
      onDatagram: (bytes, offset, length, from) => {
        for (const answer of upstream(Buffer.from(bytes.slice(offset, offset + length)))) {
          socket.send(answer, 0, answer.length, from);
        }
      },
      onError: () => {},
    });
    this.engine.listen(address, (connection) => {
      const reader = new MessageReader(65_535);
      connection.receive({
        creditBytes: () => reader.wantedBytes,
        onData: (bytes, offset, length) => {
          const message = reader.take(bytes, offset, length);
          assert.ok(message !== 'bad length');
          if (message === null) return;
          for (const answer of upstream(Buffer.from(message))) {
            const framed = withLength(answer);
            connection.write(framed, 0, framed.length);
          }
        },
        onEnd: () => connection.end(),
        onWritable: () => {},
        onClose: () => {},
      });
    });
  }
}

export function echoing(...addresses: readonly string[]): Upstream {
  return (query) => [respond(query, { answers: addresses.map((data) => ({ type: 'A', name: nameOf(query), data })) })];
}

export function respond(query: Buffer, given: Packet): Buffer {
  const { id = 0, questions = [] } = decode(query);
  return encode({ type: 'response', id, flags: 0x0400, questions, ...given });
}

export function nameOf(query: Buffer): string {
  return decode(query).questions![0]!.name;
}

export function asking(name: string, given: Packet = {}): Buffer {
  return encode({ type: 'query', id: 0x77aa, flags: 0x0100, questions: [{ type: 'A', name }], ...given });
}

export function told(packet: DecodedPacket | undefined): string {
  if (packet === undefined) return 'nothing';
  assert.equal(packet.id, 0x77aa);
  const { rcode } = packet as unknown as { rcode: string };
  const flags = `${packet.flag_aa ? 'AA ' : ''}${packet.flag_tc ? 'TC ' : ''}${packet.flag_ra ? '' : 'no RA '}`;
  return `${rcode} ${flags}${(packet.answers ?? []).map((each) => ('data' in each ? each.data : '')).join(' ')}`.trim();
}

function service(hostname: string, addresses: readonly string[]): Service {
  const vips = addresses.map((each) => ({ network: '', ip: parseIpAddress(each)! }));
  return {
    hostname,
    namespace: 'shop',
    vips,
    visibility: 'public',
    canonical: false,
    ipFamilies: 'automatic',
  } as unknown as Service;
}

const SERVICES = [
  service('web.shop.svc.cluster.local', ['10.96.0.1']),
  service(
    'many.example',
    Array.from({ length: 100 }, (_, i) => `10.97.0.${i}`),
  ),
];
export const INDEX: NameIndex = {
  servicesByHostname: (hostname) => SERVICES.filter((each) => each.hostname === hostname),
  endpoints: () => [],
};
export const CLIENT = { name: 'client', namespace: 'shop', network: '' } as unknown as Workload;
