/** Pods on a simulated network: each an engine with the pod's address, its proxy, its applications, and what was told. */
import assert from 'node:assert/strict';
import type { AmbitError } from '@ambit/base/errors';
import { seededRng } from '@ambit/base/rng';
import type { Explanation } from '@ambit/model/explain';
import { formatExplanation } from '@ambit/model/explain-format';
import { formatIdentity } from '@ambit/model/identity';
import type { Policy, PolicyMatch } from '@ambit/model/policy';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import type { Connection, Engine, Listener, SocketAddress, TlsContext } from '@ambit/net/engine';
import { type ConnectResponder, HBONE_PORT, HbonePool, HboneServer, type InboundCall } from '@ambit/net/hbone';
import { HBONE_LIMITS, type HboneLimits } from '@ambit/net/limits';
import { type MemoryEngine, MemoryNetwork, type MemoryNetworkOptions } from '@ambit/net/memory';
import type { Denial } from '@ambit/telemetry/access-log';
import { materialFor } from '@ambit/testkit/authority';
import { NOTHING, Opening, type Sending, Side } from '@ambit/testkit/hbone-world';
import type { HboneRequest } from '@ambit/wire/hbone';
import { apply, workload } from '../state/mesh.fixture.ts';
import { MeshState } from '../state/mesh-state.ts';
import { identityOf } from './attribution.ts';
import type { ConnectionFacts, ConnectionFailure, ConnectionObserver, ConnectionTracker } from './connection-facts.ts';
import { POD_LIMITS } from './limits.ts';
import type { PodOptions } from './pod-context.ts';
import { PodProxy } from './pod-proxy.ts';
import { Redirected } from './redirected.fixture.ts';

export const OWN_PORTS = [15_001, 15_006, HBONE_PORT];

/** Small windows of time, so that what is torn down is gone within a second. */
export const QUICK: HboneLimits = { ...HBONE_LIMITS, closeGraceMs: 100, idleReleaseMs: 300 };

/** One line of the access log. */
export interface Told {
  readonly facts: ConnectionFacts;
  closed: { readonly received: number; readonly sent: number; readonly failure: ConnectionFailure | null } | null;
}

export class Observer implements ConnectionObserver {
  readonly told: Told[] = [];
  readonly rejections: string[] = [];

  opened(facts: ConnectionFacts): ConnectionTracker {
    const told: Told = { facts, closed: null };
    this.told.push(told);
    let counts = { receivedBytes: 0, sentBytes: 0 };
    return {
      carrying: (given) => {
        counts = given;
      },
      closed: (received, sent, failure) => {
        assert.equal(told.closed, null, 'a connection is told as closed once');
        assert.deepEqual(
          [counts.receivedBytes, counts.sentBytes],
          [received, sent],
          'the counts that grew are those of the end',
        );
        told.closed = { received, sent, failure };
      },
    };
  }

  rejected(direction: string, client: SocketAddress, destination: SocketAddress, reason: string): void {
    this.rejections.push(`${direction} ${client.ip} -> ${destination.ip}:${destination.port} ${reason}`);
  }

  get isDone(): boolean {
    return this.told.length > 0 && this.told.every(({ closed }) => closed !== null);
  }

  /** The only one. */
  get one(): Told {
    assert.equal(this.told.length, 1, 'one connection was told');
    return this.told[0]!;
  }

  /** Flag and message of the only one. */
  get failure(): string {
    const failure = this.one.closed?.failure;
    return failure == null ? String(failure) : `${failure.flag} ${failure.message}`;
  }
}

export class PodWorld {
  readonly network: MemoryNetwork;
  readonly state = new MeshState({ localNode: null });
  readonly pods = new Map<string, TestPod>();
  readonly engines: MemoryEngine[] = [];

  constructor(options: Partial<MemoryNetworkOptions> = {}) {
    this.network = new MemoryNetwork({ seed: 1, ...options });
  }

  /** Nobody is served before. */
  ready(policies: readonly Policy[] = []): void {
    this.add();
    this.policies(...policies);
  }

  policies(...upserts: readonly Policy[]): void {
    this.state.applyPolicies({ upserts, removedNames: [] });
  }

  add(...given: readonly (Workload | Service)[]): void {
    apply(this.state, given);
  }

  engine(name: string, ip: string): MemoryEngine {
    const engine = this.network.engine(name, { ips: [ip] });
    this.engines.push(engine);
    return engine;
  }

  /** A pod and its proxy. Its workload is of HBONE and runs as the service account of its name, unless told otherwise. */
  async pod(name: string, ip: string, given: PodGiven = {}): Promise<TestPod> {
    const workloadOf = workload(`c//Pod/shop/${name}`, {
      ips: [ip],
      tunnelProtocol: 1,
      serviceAccount: name,
      workloadName: name,
      ...given.workload,
    });
    if (given.unknown !== true) this.add(workloadOf);
    const engine = this.engine(name, ip);
    const tls = engine.tlsContext(await materialFor(formatIdentity(identityOf(workloadOf))));
    const pod = new TestPod(this, workloadOf, ip, engine, tls, given);
    this.pods.set(name, pod);
    return pod;
  }

  /** Without a workload, unless one is added. */
  async peer(name: string, ip: string): Promise<HbonePeer> {
    const engine = this.engine(name, ip);
    const tls = engine.tlsContext(await materialFor(`spiffe://cluster.local/ns/shop/sa/${name}`));
    return new HbonePeer(engine, ip, tls);
  }

  until(done: () => boolean): Promise<void> {
    return this.network.settle(done, 120_000);
  }

  /** A second is enough for what has no deadline. */
  pass(ms = 1000): void {
    this.network.run(this.network.schedule.nowMs + ms);
  }

  /** All pods drain at once, and nothing may be left of anything. */
  async stop(): Promise<void> {
    let drained = 0;
    for (const pod of this.pods.values()) {
      pod.closeListeners();
      pod.proxy.close(() => {
        drained += 1;
      });
    }
    this.pass(5000);
    assert.equal(drained, this.pods.size, 'each pod says that it is drained');
    for (const pod of this.pods.values()) pod.assertNothingLeft();
    for (const engine of this.engines)
      assert.equal(engine.counters.handlerFaults, 0, `a handler of ${engine.name} threw`);
    const closed = Promise.all(this.engines.map((engine) => engine.close()));
    this.pass(1000);
    await closed;
  }
}

/** Speaks HBONE by itself: a waypoint, or a peer that does what it should not. It records what it is asked. */
export class HbonePeer {
  readonly calls: InboundCall[] = [];
  readonly engine: Engine;
  readonly ip: string;
  readonly tls: TlsContext;
  readonly pool: HbonePool;
  /** How a CONNECT is answered; accepting it is the default. */
  answer: (responder: ConnectResponder) => void = (responder) => {
    new Side(responder.accept([]), NOTHING);
  };

  constructor(engine: Engine, ip: string, tls: TlsContext) {
    this.engine = engine;
    this.ip = ip;
    this.tls = tls;
    this.pool = new HbonePool({ engine, limits: QUICK });
    const server = new HboneServer({
      engine,
      trustDomain: 'cluster.local',
      limits: QUICK,
      onConnect: (call, responder) => {
        this.calls.push(call);
        this.answer(responder);
      },
    });
    engine.listen({ ip, port: HBONE_PORT, tls }, (connection) => server.accept(connection));
  }

  /** A CONNECT as it likes. */
  connect(to: TestPod, connect: Partial<HboneRequest>, sends: Sending = NOTHING): Opening {
    const opening = new Opening(sends);
    const request = { authority: '', baggage: '', forwarded: '', traceparent: '', forwardedNetwork: '', ...connect };
    opening.handle = this.pool.openTunnel(
      {
        sourceIdentity: 'peer',
        destinationIdentities: [formatIdentity(identityOf(to.workload))],
        destinationIp: to.ip,
        destinationPort: HBONE_PORT,
        sourceIp: this.ip,
        tls: this.tls,
        connect: request,
      },
      opening,
    );
    return opening;
  }
}

export interface PodGiven {
  readonly workload?: Parameters<typeof workload>[1];
  readonly options?: Partial<PodOptions>;
  /** The mesh does not know its workload yet. */
  readonly unknown?: boolean;
}

export class TestPod {
  readonly world: PodWorld;
  readonly workload: Workload;
  readonly ip: string;
  readonly engine: Engine;
  readonly observer = new Observer();
  readonly denials = new Map<string, Explanation>();
  /** Whether reasons of denials are kept. */
  explains = true;
  readonly proxy: PodProxy;
  /** Connections that its applications accepted, in order. */
  readonly served: Side[] = [];
  /** Whom the application saw at the other end. */
  readonly seenFrom: string[] = [];
  /** What a certificate is asked for gets; null: no answer at all. */
  certificate: TlsContext | AmbitError | null;
  readonly #listeners: Listener[] = [];

  constructor(world: PodWorld, own: Workload, ip: string, engine: Engine, tls: TlsContext, { options = {} }: PodGiven) {
    this.world = world;
    this.workload = own;
    this.ip = ip;
    this.engine = engine;
    this.certificate = tls;
    const { state } = world;
    const info = { name: own.name, namespace: own.namespace, serviceAccount: own.serviceAccount };
    this.proxy = new PodProxy(podOptions(own.name, options), {
      engine,
      mesh: {
        index: state,
        get isReady() {
          return state.isReady;
        },
        get policies() {
          return state.policies;
        },
        ownWorkload: () => state.localWorkload(info),
      },
      tls: {
        for: (identity, done) => {
          assert.equal(identity, formatIdentity(identityOf(own)));
          if (this.certificate !== null) done(this.certificate);
        },
      },
      observer: this.observer,
      denials: { denied: (_decision, _call, explain) => this.#keep(explain()) },
      rng: seededRng(7),
    });
    state.onChange(() => this.proxy.meshChanged());
    this.#listeners.push(engine.listen({ ip, port: HBONE_PORT, tls }, (connection) => this.proxy.inbound(connection)));
  }

  /** An application of the pod. `sends` is what it says to each client by itself. */
  serve(port: number, sends: Sending = NOTHING, ip = this.ip): void {
    const listener = this.engine.listen({ ip, port }, (connection) => {
      this.seenFrom.push(connection.remote.ip);
      this.served.push(new Side(connection, sends));
    });
    this.#listeners.push(listener);
  }

  /** An application of the pod calls; redirection brings it to the proxy. */
  call(ip: string, port: number, sends: Sending = NOTHING): Opening {
    const captured = (connection: Connection): void => this.proxy.outbound(new Redirected(connection, { ip, port }));
    return this.#dialCaptured(this.engine, sends, captured);
  }

  /** Somebody calls the pod without HBONE. */
  callPlain(from: Engine, port: number, sends: Sending = NOTHING): Opening {
    const destination = { ip: this.ip, port };
    const captured = (connection: Connection): void => this.proxy.plaintext(new Redirected(connection, destination));
    return this.#dialCaptured(from, sends, captured);
  }

  #keep(explanation: Explanation): Denial | null {
    if (!this.explains) return null;
    const id = `denial-${this.denials.size}`;
    this.denials.set(id, explanation);
    return { id, reason: formatExplanation(explanation).short };
  }

  closeListeners(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }

  assertNothingLeft(): void {
    const { connections, waiting, live, faults, pool, server } = this.proxy.counters;
    const { handlerFaults } = pool;
    assert.deepEqual(
      { connections, waiting, live, faults, pool: pool.connections, dialing: pool.dialing, server: server.connections },
      { connections: 0, waiting: 0, live: 0, faults: 0, pool: 0, dialing: 0, server: 0 },
    );
    assert.equal(handlerFaults + server.handlerFaults, 0, 'no handler threw');
    for (const { closed } of this.observer.told) assert.notEqual(closed, null, 'each connection was told as closed');
  }

  #dialCaptured(from: Engine, sends: Sending, captured: (connection: Connection) => void): Opening {
    const opening = new Opening(sends);
    const listener = this.engine.listen({ ip: this.ip, port: 0 }, captured);
    this.#listeners.push(listener);
    from.connect(listener.address, {
      onOpen: (connection) => opening.onOpen(connection, { headers: [], peerIdentity: identityOf(this.workload) }),
      onFail: (error) => opening.onFail(error),
    });
    return opening;
  }
}

export function podOptions(name: string, given: Partial<PodOptions> = {}): PodOptions {
  return {
    name,
    network: '',
    trustDomain: 'cluster.local',
    ownPorts: OWN_PORTS,
    dial: {},
    preservesSource: true,
    localhostApplicationTunnel: true,
    sendsResponseBaggage: true,
    unknownPolicy: 'deny',
    limits: POD_LIMITS,
    hboneLimits: QUICK,
    ...given,
  };
}

/** ALLOW in the namespace `shop` with one match, unless told otherwise. */
export function policy(name: string, match: PolicyMatch | null, given: Partial<Policy> = {}): Policy {
  const rules = match === null ? [] : [{ clauses: [{ matches: [match] }] }];
  return { name, namespace: 'shop', scope: 'namespace', action: 'ALLOW', dryRun: false, rules, ...given };
}

export function bytes(count: number, seed = 1, end = true): Sending {
  return { bytes: count, seed, end };
}
