/**
 * A node proxy reduced to what the engine costs: SOCKS5 in, HBONE with both certificates verified and both identities
 * checked, plain TCP out. Runs both ends of HBONE or one of them, as the line of JSON on its standard input says, and
 * answers with the address where it listens. Ends with its standard input.
 */
import { createInterface } from 'node:readline';
import { formatIdentity } from '@ambit/model/identity';
import { copy } from '@ambit/net/copy';
import type { Engine, SocketAddress, TlsMaterial } from '@ambit/net/engine';
import { HbonePool, HboneServer } from '@ambit/net/hbone';
import { HBONE_LIMITS } from '@ambit/net/limits';
import { createReactor } from '@ambit/net/reactor';
import { BENCH_IDENTITY, type ProxyConfig } from './ours-config.ts';
import { type OpenTunnel, SocksEntry } from './socks-entry.ts';

const LOOPBACK = '127.0.0.1';
/** As long as what Istio's ztunnel sends. */
const BAGGAGE =
  'k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.pod.name=bench,service.name=bench,service.version=v1';
/** One stream per connection, and as many connections as the load opens. */
const UNPOOLED_LIMITS = {
  ...HBONE_LIMITS,
  clientStreamsMax: 1,
  connectionsPerKeyMax: 65_536,
  poolConnectionsMax: 65_536,
};

function startExit(engine: Engine, material: TlsMaterial): SocketAddress {
  const server = new HboneServer({
    engine,
    trustDomain: BENCH_IDENTITY.trustDomain,
    onConnect: ({ connect: { authority } }, responder) => {
      if (authority.kind === 'host') {
        responder.refuse(400);
        return;
      }
      const dial = engine.connect(authority, {
        onOpen: (upstream) => copy(responder.accept([]), upstream, { onDone: () => {} }),
        onFail: () => responder.refuse(503),
      });
      responder.onAbandoned = () => dial.cancel();
    },
  });
  const tls = engine.tlsContext(material);
  return engine.listen({ ip: LOOPBACK, port: 0, tls }, (connection) => server.accept(connection)).address;
}

function startEntry(engine: Engine, config: ProxyConfig, exit: SocketAddress): SocketAddress {
  const pool = new HbonePool({ engine, limits: config.unpooled ? UNPOOLED_LIMITS : HBONE_LIMITS });
  const tls = engine.tlsContext(config.material);
  const identity = formatIdentity(BENCH_IDENTITY);
  const openTunnel: OpenTunnel = (authority, source, result) =>
    pool.openTunnel(
      {
        sourceIdentity: identity,
        destinationIdentities: [identity],
        destinationIp: exit.ip,
        destinationPort: exit.port,
        sourceIp: source.ip,
        tls,
        connect: {
          authority,
          baggage: BAGGAGE,
          forwarded: `for="${source.ip}:${source.port}"`,
          traceparent: '',
          forwardedNetwork: '',
        },
      },
      result,
    );
  const accept = (connection: ConstructorParameters<typeof SocksEntry>[0]) => new SocksEntry(connection, openTunnel);
  return engine.listen({ ip: LOOPBACK, port: 0 }, accept).address;
}

function start(config: ProxyConfig): SocketAddress {
  const engine = createReactor({ onFault: (thrown) => console.error(thrown) });
  if (config.role === 'exit') return startExit(engine, config.material);
  const exit = config.exit ?? startExit(engine, config.material);
  return startEntry(engine, config, exit);
}

const input = createInterface(process.stdin);
input.once('line', (line) => console.log(JSON.stringify(start(JSON.parse(line) as ProxyConfig))));
input.once('close', () => process.exit(0));
// By itself and not by default, so that a profile under `node --cpu-prof` is written.
process.once('SIGTERM', () => process.exit(0));
