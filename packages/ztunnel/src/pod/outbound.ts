/**
 * What the pod's application dials (as Istio's ztunnel, reference 3.1 to 3.8): held while it is decided where it goes,
 * then joined with a plain connection or with a tunnel. What the model rejects, or what is not built yet, is refused:
 * nothing goes around a waypoint or a gateway.
 */
import { AmbitError } from '@ambit/base/errors';
import { formatIdentity, type Identity } from '@ambit/model/identity';
import { type Hop, type OutboundCall, type Resolution, resolve } from '@ambit/model/resolve';
import type { Workload } from '@ambit/model/workload';
import type { Connection, SocketAddress, TlsContext } from '@ambit/net/engine';
import { HBONE_PORT, type HbonePool } from '@ambit/net/hbone';
import { Held } from '@ambit/net/held';
import { formatForwarded } from '@ambit/wire/forwarded';
import { formatIpPort } from '@ambit/wire/ip';
import { makeTraceparent, TRACEPARENT_RANDOM_BYTES } from '@ambit/wire/traceparent';
import { baggageOf, identityOf } from './attribution.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { podError } from './errors.ts';
import { ipOf } from './ip-of.ts';
import type { Pod } from './pod.ts';
import type { PodConnection } from './pod-connection.ts';

/** A resolution that ends in a tunnel. */
type Tunnelled = Extract<Resolution, { readonly is: 'hbone' | 'waypoint' }>;

/** A call on its way: what all steps after the first need. */
interface Outgoing {
  readonly held: Held;
  readonly connection: PodConnection;
  readonly source: Workload;
}

export class OutboundPath {
  readonly #pod: Pod;
  readonly #pool: HbonePool;

  constructor(pod: Pod, pool: HbonePool) {
    this.#pod = pod;
    this.#pool = pool;
  }

  accept(accepted: Connection, destination: SocketAddress): void {
    const held = new Held(accepted);
    const connection = this.#pod.connections.begin('outbound', accepted.remote, destination, held);
    held.onGone = () => connection.clientLeft();
    connection.run(() => {
      if (this.#isOwnPort(destination, accepted.local.ip)) {
        connection.fail(selfCall());
        return;
      }
      this.#pod.withWorkload(connection, (source) => this.#route({ held, connection, source }));
    });
  }

  #route(outgoing: Outgoing): void {
    const { connection, source } = outgoing;
    const { client, destination } = connection;
    const { mesh, rng } = this.#pod.parts;
    const { network, ownPorts } = this.#pod.options;
    const call: OutboundCall = {
      source,
      network,
      clientIp: ipOf(client),
      destinationIp: ipOf(destination),
      destinationPort: destination.port,
      ownPorts,
    };
    // A port of ours at our own address would come back to us for ever, if the workload speaks no HBONE.
    if (ownPorts.includes(destination.port) && source.addresses.some((own) => own.equals(call.destinationIp))) {
      connection.fail(selfCall());
      return;
    }
    const resolution = resolve(mesh.index, call, rng);
    switch (resolution.is) {
      case 'reject':
        connection.fail(
          podError(resolution.code === 'self-call' ? 'POD_SELF_CALL' : 'POD_NO_ROUTE', resolution.reason),
        );
        return;
      case 'passthrough':
        this.#plain(outgoing, null, destination);
        return;
      case 'double':
        connection.fail(notSupported(`double HBONE to the gateway of another network: ${resolution.workload.uid}`));
        return;
      default:
        this.#toHop(outgoing, resolution);
    }
  }

  #toHop(outgoing: Outgoing, hop: Tunnelled | (Hop & { readonly is: 'direct' })): void {
    if (hop.host.is === 'hostname') {
      outgoing.connection.fail(notSupported(`a workload without an address: ${hop.host.hostname}`));
      return;
    }
    const ip = hop.host.ip.toString();
    if (hop.is === 'direct') this.#plain(outgoing, hop, { ip, port: hop.port });
    else this.#tunnel(outgoing, hop, ip);
  }

  #plain(outgoing: Outgoing, hop: Hop | null, to: SocketAddress): void {
    const { connection, held } = outgoing;
    connection.open(this.#facts(outgoing, hop, to, null));
    this.#pod.dial(connection, to, 'io error: ', (upstream) => connection.carry(held.join(upstream, connection)));
  }

  #tunnel(outgoing: Outgoing, hop: Tunnelled, ip: string): void {
    const { connection, source } = outgoing;
    const { destination } = connection;
    const isWaypoint = hop.is === 'waypoint';
    // A waypoint is asked for what the application dialled; a workload for itself, at the port behind the service's.
    const authority = isWaypoint ? formatIpPort(destination.ip, destination.port) : formatIpPort(ip, hop.port);
    const nextHop = { ip, port: isWaypoint ? hop.port : HBONE_PORT };
    connection.open(this.#facts(outgoing, hop, nextHop, authority));
    this.#withTls(connection, formatIdentity(identityOf(source)), (tls) =>
      this.#openTunnel(outgoing, hop, nextHop, authority, tls),
    );
  }

  #withTls(connection: PodConnection, identity: string, next: (tls: TlsContext) => void): void {
    const { engine, tls } = this.#pod.parts;
    const { identityWaitMs } = this.#pod.options.limits;
    const timer = engine.after(identityWaitMs, () =>
      connection.fail(identityUnavailable(`no certificate within ${identityWaitMs} ms: ${identity}`)),
    );
    connection.waitFor(timer);
    tls.for(identity, (result) =>
      connection.run(() => {
        timer.cancel();
        if (result instanceof AmbitError) connection.fail(identityUnavailable(result.message, result));
        else next(result);
      }),
    );
  }

  #openTunnel(
    { held, connection, source }: Outgoing,
    hop: Tunnelled,
    nextHop: SocketAddress,
    authority: string,
    tls: TlsContext,
  ): void {
    const { client } = connection;
    const step = this.#pool.openTunnel(
      {
        sourceIdentity: formatIdentity(identityOf(source)),
        destinationIdentities: hop.identities.map(formatIdentity),
        destinationIp: nextHop.ip,
        destinationPort: nextHop.port,
        sourceIp: client.ip,
        tls,
        dial: this.#pod.options.dial,
        connect: {
          authority,
          baggage: baggageOf(source),
          forwarded: formatForwarded(client.ip, client.port, hop.service?.hostname ?? null),
          traceparent: makeTraceparent(this.#pod.parts.rng.bytes(TRACEPARENT_RANDOM_BYTES)),
          forwardedNetwork: '',
        },
      },
      {
        onOpen: (stream) => connection.run(() => connection.carry(held.join(stream, connection))),
        onFail: (error) => connection.fail(error),
      },
    );
    connection.waitFor(step);
  }

  #facts(
    { connection, source }: Outgoing,
    hop: Hop | null,
    nextHop: SocketAddress,
    authority: string | null,
  ): ConnectionFacts {
    const encrypted = authority !== null;
    const destinationIdentity: Identity | null = hop === null ? null : identityOf(hop.workload);
    return {
      direction: 'outbound',
      client: connection.client,
      sourceWorkload: source,
      sourceIdentity: encrypted ? identityOf(source) : null,
      sourceBaggage: null,
      nextHop,
      hboneAuthority: authority,
      destinationWorkload: hop?.workload ?? null,
      destinationService: hop?.service ?? null,
      destinationIdentity,
      encrypted,
    };
  }

  /** The proxy itself was dialled, on loopback or past redirection. */
  #isOwnPort({ ip, port }: SocketAddress, localIp: string): boolean {
    return this.#pod.options.ownPorts.includes(port) && (ip === localIp || ipOf({ ip }).isLoopback);
  }
}

function selfCall(): AmbitError {
  return podError('POD_SELF_CALL', 'attempted recursive call to ourselves');
}

function notSupported(what: string): AmbitError {
  return podError('POD_NOT_SUPPORTED', `not supported yet: ${what}`);
}

function identityUnavailable(message: string, cause?: AmbitError): AmbitError {
  return podError('POD_IDENTITY_UNAVAILABLE', message, cause);
}
