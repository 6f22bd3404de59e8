/**
 * CONNECTs of other proxies for the pod's application (as Istio's ztunnel, reference 4.1 to 4.7 and 4.9). The list of
 * steps is that of 4.1; the client is told 200 only when the application has been reached, and until then none of its
 * bytes are passed on.
 */
import type { AmbitError } from '@ambit/base/errors';
import { makeCall } from '@ambit/model/call';
import { formatIdentity } from '@ambit/model/identity';
import type { IpAddress } from '@ambit/model/ip-address';
import { type InboundAuthority, type InboundResolution, resolveInbound } from '@ambit/model/resolve-inbound';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { copy } from '@ambit/net/copy';
import type { Connection, ConnectOptions } from '@ambit/net/engine';
import type { ConnectResponder, InboundCall } from '@ambit/net/hbone';
import { formatIpPort } from '@ambit/wire/ip';
import { encodeProxyHeader, type ProxyAddress } from '@ambit/wire/proxy-v2';
import { baggageOf, identityOf, inboundService } from './attribution.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { podError, statusOf } from './errors.ts';
import { ipOf } from './ip-of.ts';
import type { Pod } from './pod.ts';
import type { PendingClient, PodConnection } from './pod-connection.ts';

type Forward = Extract<InboundResolution, { readonly is: 'forward' }>;

/** A CONNECT on its way: what all steps after the first need. */
interface Incoming {
  readonly call: InboundCall;
  readonly responder: ConnectResponder;
  readonly connection: PodConnection;
  /** As it was when the call was decided. */
  readonly workload: Workload;
  readonly forward: Forward;
  /** Sent before the client's bytes. */
  readonly proxyHeader: Uint8Array | null;
}

/** A client that waits for the answer to its CONNECT. */
class AskingClient implements PendingClient {
  readonly #responder: ConnectResponder;

  constructor(responder: ConnectResponder) {
    this.#responder = responder;
  }

  abort(error: AmbitError): void {
    this.#responder.refuse(statusOf(error));
  }
}

export class InboundPath {
  readonly #pod: Pod;

  constructor(pod: Pod) {
    this.#pod = pod;
  }

  accept(call: InboundCall, responder: ConnectResponder): void {
    const client = new AskingClient(responder);
    const connection = this.#pod.connections.begin('inbound', call.remote, call.local, client);
    responder.onAbandoned = () => connection.clientLeft();
    connection.run(() =>
      this.#pod.withWorkload(connection, (known) =>
        this.#pod.withPolicies(connection, known, (workload) => this.#decide(call, responder, connection, workload)),
      ),
    );
  }

  #decide(call: InboundCall, responder: ConnectResponder, connection: PodConnection, workload: Workload): void {
    const { mesh } = this.#pod.parts;
    const { network, ownPorts } = this.#pod.options;
    const localIp = ipOf(call.local);
    const authority = authorityOf(call);
    const forward = resolveInbound(mesh.index, { workload, network, localIp, authority, ownPorts });
    if (forward.is === 'refuse') {
      const code = forward.status === 400 ? 'POD_BAD_AUTHORITY' : 'POD_NO_ROUTE';
      connection.fail(podError(code, forward.reason));
      return;
    }
    const proxyHeader = forward.proxyProtocol ? this.#proxyHeader(call, forward.service) : null;
    if (forward.proxyProtocol && proxyHeader === null) {
      connection.fail(podError('POD_NO_ROUTE', `no address for the PROXY header: ${forward.service?.hostname}`));
      return;
    }
    const incoming = { call, responder, connection, workload, forward, proxyHeader };
    connection.open(this.#facts(incoming));
    const admitted = this.#pod.admit(
      connection,
      makeCall({
        source: call.peer,
        sourceIp: ipOf(call.remote),
        destinationIp: localIp,
        destinationPort: forward.port,
        destination: workload,
      }),
    );
    if (admitted) this.#connect(incoming);
  }

  #connect(incoming: Incoming): void {
    const { connection, call, forward } = incoming;
    const to = this.#upstream(call, forward);
    this.#pod.dial(connection, to, 'connection failed: ', (upstream) => this.#carry(incoming, upstream));
  }

  #carry({ responder, connection, workload, proxyHeader }: Incoming, upstream: Connection): void {
    const baggage = this.#pod.options.sendsResponseBaggage ? baggageOf(workload) : '';
    if (proxyHeader !== null) upstream.write(proxyHeader, 0, proxyHeader.length);
    const stream = responder.accept(baggage === '' ? [] : ['baggage', baggage]);
    connection.carry(copy(stream, upstream, connection));
  }

  /** To the address that was dialled, or to loopback where the application listens behind its tunnel. */
  #upstream({ local, remote }: InboundCall, { port, proxyProtocol }: Forward): ConnectOptions {
    if (proxyProtocol && this.#pod.options.localhostApplicationTunnel) {
      const ip = local.ip.includes(':') ? '::1' : '127.0.0.1';
      return { ip, port, sourceIp: ip };
    }
    return this.#pod.fromClient(remote.ip, { ip: local.ip, port });
  }

  /** Null: the service that was named has no address to put into it. */
  #proxyHeader({ remote, peer, connect }: InboundCall, service: Service | null): Uint8Array | null {
    const { authority } = connect;
    const ip = authority.kind === 'ip' ? authority.ip : this.#vipOf(service);
    if (ip === null) return null;
    const destination: ProxyAddress = { ip, port: authority.port };
    return encodeProxyHeader({ source: remote, destination, identity: formatIdentity(peer) });
  }

  /** On our own network before others, IPv4 before IPv6. */
  #vipOf(service: Service | null): string | null {
    const { network } = this.#pod.options;
    const rank = (vip: { readonly network: string; readonly ip: IpAddress }): number =>
      (vip.network === network ? 0 : 2) + (vip.ip.isIpv6 ? 1 : 0);
    const [best] = (service?.vips ?? []).toSorted((a, b) => rank(a) - rank(b));
    return best === undefined ? null : best.ip.toString();
  }

  #facts({ call, workload, forward }: Incoming): ConnectionFacts {
    const { index } = this.#pod.parts.mesh;
    const { remote, local, peer, connect } = call;
    const { authority, forwarded, forwardedNetwork, baggage } = connect;
    const host = authority.kind === 'ip' ? authority.ip : authority.host;
    return {
      direction: 'inbound',
      client: remote,
      sourceWorkload: this.#isFromGateway(forwardedNetwork) ? null : this.#pod.workloadAt(remote),
      sourceIdentity: peer,
      sourceBaggage: baggage,
      nextHop: local,
      hboneAuthority: formatIpPort(host, authority.port),
      destinationWorkload: workload,
      destinationService: inboundService(index, workload, forward.port, forward.service, forwarded?.host ?? ''),
      destinationIdentity: identityOf(workload),
      encrypted: true,
    };
  }

  /** Then the address is the gateway's, and only the baggage tells of the caller. */
  #isFromGateway(forwardedNetwork: string): boolean {
    return forwardedNetwork !== '' && forwardedNetwork.toLowerCase() !== this.#pod.options.network.toLowerCase();
  }
}

function authorityOf({ connect: { authority } }: InboundCall): InboundAuthority {
  if (authority.kind === 'host') return { is: 'host', host: authority.host, port: authority.port };
  return { is: 'ip', ip: ipOf(authority), port: authority.port };
}
