/**
 * A process of its own that opens idle HBONE connections to itself, each of which has carried one tunnel, and prints
 * what an endpoint of one takes: resident bytes, and of these what JavaScript's heap holds.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '@ambit/testkit/authority';
import type { Receiver } from '../engine.ts';
import { HBONE_LIMITS } from '../limits.ts';
import { createReactor } from '../reactor/index.ts';
import { HbonePool, HboneServer } from './index.ts';

/** They also fill what is allocated once: pools, tables, the compiler's output. */
const WARMUP_CONNECTIONS = 300;
const CONNECTIONS = 1000;
const AT_ONCE = 8;
const SETTLED_MS = 1500;
const LOOPBACK = '127.0.0.1';
/** No PINGs meanwhile. */
const LIMITS = { ...HBONE_LIMITS, poolConnectionsMax: 10_000, keepaliveIntervalMs: 600_000 };

const engine = createReactor();
const serverTls = engine.tlsContext(await materialFor(SERVER_IDENTITY));
const clientTls = engine.tlsContext(await materialFor(CLIENT_IDENTITY));
const server = new HboneServer({
  engine,
  trustDomain: 'cluster.local',
  onConnect: (_call, responder) => {
    const stream = responder.accept([]);
    stream.receive(receiver({ onEnd: () => stream.end() }));
  },
});
const listener = engine.listen({ ip: LOOPBACK, port: 0, tls: serverTls }, (connection) => server.accept(connection));
const pool = new HbonePool({ engine, limits: LIMITS });

/** Connections differ by the source address, which is a part of the pool's key. */
function openOne(index: number): Promise<void> {
  const request = {
    sourceIdentity: CLIENT_IDENTITY,
    destinationIdentities: [SERVER_IDENTITY],
    destinationIp: LOOPBACK,
    destinationPort: listener.address.port,
    sourceIp: `10.0.${index >> 8}.${index & 255}`,
    tls: clientTls,
    connect: {
      authority: '10.1.0.1:80',
      baggage: 'k8s.namespace.name=default',
      forwarded: '',
      traceparent: '',
      forwardedNetwork: '',
    },
  };
  return new Promise((resolve, reject) => {
    pool.openTunnel(request, {
      onOpen: (stream) => {
        stream.receive(receiver({ onClose: () => resolve() }));
        stream.end();
      },
      onFail: reject,
    });
  });
}

function receiver(changes: Partial<Receiver>): Receiver {
  return { creditBytes: () => 65_536, onData() {}, onEnd() {}, onWritable() {}, onClose() {}, ...changes };
}

async function open(from: number, count: number): Promise<void> {
  for (let index = from; index < from + count; index += AT_ONCE) {
    await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, from + count - index) }, (_, more) => openOne(index + more)),
    );
  }
  await sleep(SETTLED_MS);
}

function residentBytes(): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

function measured(): { residentBytes: number; heapBytes: number } {
  globalThis.gc?.();
  return { residentBytes: residentBytes(), heapBytes: process.memoryUsage().heapUsed };
}

await open(0, WARMUP_CONNECTIONS);
const before = measured();
await open(WARMUP_CONNECTIONS, CONNECTIONS);
const after = measured();
const each = (bytes: number) => Math.round(bytes / (2 * CONNECTIONS));
const result = {
  connections: pool.counters.connections,
  endpointBytes: each(after.residentBytes - before.residentBytes),
  heapBytes: each(after.heapBytes - before.heapBytes),
};
console.log(JSON.stringify(result));
process.exit();
