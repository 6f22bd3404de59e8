/**
 * The proxy of one pod. Its three ways in are three methods, each a short list of steps in the order of Istio's ztunnel
 * (reference 3.1, 4.1, 4.8); names are addresses here, because nothing resolves any yet.
 */
import { AmbitError } from '@ambit/base/errors';
import { formatIdentity, parseIdentity } from '@ambit/model/identity';
import { copy } from '@ambit/net/copy';
import type { Connection, ConnectOptions, Duplex, Engine, TlsContext } from '@ambit/net/engine';
import { type ConnectResponder, HbonePool, HboneServer, type InboundCall } from '@ambit/net/hbone';
import { Held } from '@ambit/net/held';
import { openNamespace } from '@ambit/platform/namespace';
import { formatForwarded } from '@ambit/wire/forwarded';
import { formatIpPort } from '@ambit/wire/ip';
import { authorize } from './authorize.ts';
import type { CallReport, PodState } from './messages.ts';
import { HBONE_PORT, OUTBOUND_PORT, PLAINTEXT_PORT, PROXY_MARK } from './redirection.ts';

const OWN_PORTS: readonly number[] = [OUTBOUND_PORT, PLAINTEXT_PORT, HBONE_PORT];
const BAD_REQUEST = 400;
const UNAUTHORIZED = 401;
const UNAVAILABLE = 503;

export class PodProxy {
  readonly state: PodState;
  readonly server: HboneServer;
  readonly tls: TlsContext;
  readonly #engine: Engine;
  readonly #mesh: ReadonlyMap<string, PodProxy>;
  readonly #report: (report: CallReport) => void;
  readonly #pool: HbonePool;
  readonly #namespaceFd: number;
  readonly #plain = new Set<Duplex>();
  #onPlainEmpty = (): void => {};

  constructor(
    engine: Engine,
    state: PodState,
    mesh: ReadonlyMap<string, PodProxy>,
    report: (report: CallReport) => void,
  ) {
    this.state = state;
    this.#engine = engine;
    this.#mesh = mesh;
    this.#report = report;
    const { certificateChainPem, privateKeyPem, rootsPem } = state;
    this.tls = engine.tlsContext({ certificateChainPem, privateKeyPem, rootsPem, alpn: 'h2' });
    this.#pool = new HbonePool({ engine });
    const trustDomain = parseIdentity(state.identity)?.trustDomain ?? '';
    this.server = new HboneServer({
      engine,
      trustDomain,
      onConnect: (call, responder) => this.#inbound(call, responder),
    });
    this.#namespaceFd = openNamespace(state.namespacePath);
  }

  /** The pod's application dialled somebody. */
  outbound(connection: Connection): void {
    const { ip, port } = connection.originalDestination;
    const tell = this.#teller('outbound', connection.remote.ip, formatIpPort(ip, port));
    const held = new Held(connection);
    if (OWN_PORTS.includes(port) && ip === connection.local.ip) {
      held.abort(refusal('attempted recursive call to ourselves'));
      tell('refused', '', 'a call to the proxy itself');
      return;
    }
    const target = [...this.#mesh.values()].find(({ state }) => state.ip === ip);
    if (target === undefined) {
      this.#passThrough(held, ip, port, tell);
      return;
    }
    const dial = this.#pool.openTunnel(
      {
        sourceIdentity: this.state.identity,
        destinationIdentities: [target.state.identity],
        destinationIp: ip,
        destinationPort: HBONE_PORT,
        sourceIp: connection.remote.ip,
        tls: this.tls,
        dial: { namespaceFd: this.#namespaceFd, mark: PROXY_MARK },
        connect: {
          authority: formatIpPort(ip, port),
          baggage: '',
          forwarded: formatForwarded(connection.remote.ip, connection.remote.port, null),
          traceparent: '',
          forwardedNetwork: '',
        },
      },
      {
        onOpen(stream, { peerIdentity }) {
          tell('open', formatIdentity(peerIdentity), '');
          held.join(stream);
        },
        onFail(error) {
          tell('failed', '', error.message);
          held.abort(error);
        },
      },
    );
    held.onGone = () => dial.cancel();
  }

  /** Somebody reached the pod past HBONE: nobody vouches for whom, so nobody gets in (STRICT). */
  plaintext(connection: Connection): void {
    const { ip, port } = connection.originalDestination;
    this.#teller('plaintext', connection.remote.ip, formatIpPort(ip, port))('refused', '', 'plaintext is not let in');
    new Held(connection).abort(refusal('plaintext is not let in'));
  }

  /** Resolves when nothing is carried any more, at the deadline at the latest. */
  async drain(deadlineMs: number): Promise<void> {
    await Promise.all([
      new Promise<void>((resolve) => this.server.drain(deadlineMs, resolve)),
      new Promise<void>((resolve) => this.#pool.drain(deadlineMs, resolve)),
      new Promise<void>((resolve) => {
        this.#onPlainEmpty = resolve;
        if (this.#plain.size === 0) resolve();
      }),
    ]);
  }

  /** A verified peer asks for a way to the pod's application. */
  #inbound(call: InboundCall, responder: ConnectResponder): void {
    const { authority } = call.connect;
    const { ip } = call.local;
    const host = authority.kind === 'ip' ? authority.ip : authority.host;
    const tell = this.#teller('inbound', call.remote.ip, formatIpPort(ip, authority.port));
    const peer = formatIdentity(call.peer);
    if (host !== ip) {
      tell('refused', peer, `the call is for ${host}`);
      responder.refuse(BAD_REQUEST);
    } else if (OWN_PORTS.includes(authority.port)) {
      tell('refused', peer, 'a call to the proxy itself');
      responder.refuse(UNAVAILABLE);
    } else if (authorize(this.state.allow, peer, authority.port).verdict === 'deny') {
      tell('refused', peer, 'no rule allows it');
      responder.refuse(UNAUTHORIZED);
    } else {
      this.#connectInbound(this.#dialOptions(ip, authority.port), responder, (error) =>
        error === null ? tell('open', peer, '') : tell('failed', peer, error.message),
      );
    }
  }

  #connectInbound(
    options: ConnectOptions,
    responder: ConnectResponder,
    onResult: (error: AmbitError | null) => void,
  ): void {
    const dial = this.#engine.connect(options, {
      onOpen: (upstream) => {
        onResult(null);
        copy(responder.accept([]), upstream, { onDone: () => {} });
      },
      onFail: (error) => {
        onResult(error);
        responder.refuse(UNAVAILABLE);
      },
    });
    responder.onAbandoned = () => dial.cancel();
  }

  /** Not in the mesh: plain TCP to where the application meant to go. */
  #passThrough(held: Held, ip: string, port: number, tell: Teller): void {
    const done = (): void => {
      this.#plain.delete(held.stream);
      if (this.#plain.size === 0) this.#onPlainEmpty();
    };
    this.#plain.add(held.stream);
    const dial = this.#engine.connect(this.#dialOptions(ip, port), {
      onOpen(upstream) {
        tell('passed through', '', '');
        held.join(upstream, { onDone: done });
      },
      onFail(error) {
        tell('failed', '', error.message);
        held.abort(error);
        done();
      },
    });
    held.onGone = () => {
      dial.cancel();
      done();
    };
  }

  #dialOptions(ip: string, port: number): ConnectOptions {
    return { ip, port, namespaceFd: this.#namespaceFd, mark: PROXY_MARK };
  }

  #teller(side: CallReport['side'], source: string, destination: string): Teller {
    return (outcome, peerIdentity, reason) =>
      this.#report({ kind: 'call', side, source, destination, peerIdentity, outcome, reason });
  }
}

type Teller = (outcome: CallReport['outcome'], peerIdentity: string, reason: string) => void;

function refusal(reason: string): AmbitError {
  return new AmbitError('REFUSED', reason, { side: 'downstream', retry: 'never' });
}
