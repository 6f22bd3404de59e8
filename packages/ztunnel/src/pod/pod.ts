/** What the three ways through a pod share, and the steps that they have in common. */
import type { AmbitError } from '@ambit/base/errors';
import { authorize, missingPolicies } from '@ambit/model/authorize';
import type { Call } from '@ambit/model/call';
import type { Workload } from '@ambit/model/workload';
import type { Connection, ConnectOptions, SocketAddress } from '@ambit/net/engine';
import { WaitList } from '../state/wait-list.ts';
import { ConnectionSet } from './connection-set.ts';
import { Denials, rejectionMessage } from './denials.ts';
import { podError } from './errors.ts';
import { ipOf } from './ip-of.ts';
import { LiveConnections } from './live-connections.ts';
import type { PodConnection } from './pod-connection.ts';
import type { PodDependencies, PodOptions } from './pod-context.ts';

export class Pod {
  readonly options: PodOptions;
  readonly parts: PodDependencies;
  readonly connections: ConnectionSet;
  readonly live: LiveConnections;
  readonly waiting: WaitList;

  constructor(options: PodOptions, parts: PodDependencies) {
    const { unknownPolicy, limits } = options;
    const { engine, mesh, observer } = parts;
    this.options = options;
    this.parts = parts;
    this.waiting = new WaitList(limits.waitingMax);
    const { rechecksPerTurn, connectionsMax } = limits;
    this.live = new LiveConnections({ engine, policies: mesh.policies, unknownPolicy, rechecksPerTurn });
    const denials = new Denials(parts.denials, unknownPolicy);
    this.connections = new ConnectionSet({ observer, live: this.live, denials, connectionsMax });
  }

  /** Goes on with the pod's workload, once workloads and policies have come and it is among them. */
  withWorkload(connection: PodConnection, next: (workload: Workload) => void): void {
    const { mesh } = this.parts;
    if (!mesh.isReady) {
      this.#waitUntilReady(connection, next);
      return;
    }
    const workload = mesh.ownWorkload();
    if (workload === null) this.#waitUntilKnown(connection, next);
    else next(workload);
  }

  #waitUntilReady(connection: PodConnection, next: (workload: Workload) => void): void {
    const { mesh } = this.parts;
    this.#wait(
      connection,
      () => mesh.isReady,
      this.options.limits.readyWaitMs,
      () => {
        if (mesh.isReady) this.withWorkload(connection, next);
        else connection.fail(podError('POD_NOT_READY', 'workloads and policies have not been received yet'));
      },
    );
  }

  #waitUntilKnown(connection: PodConnection, next: (workload: Workload) => void): void {
    const { mesh } = this.parts;
    const { name, limits } = this.options;
    this.#wait(
      connection,
      () => mesh.ownWorkload() !== null,
      limits.workloadWaitMs,
      () => {
        const workload = mesh.ownWorkload();
        if (workload !== null) next(workload);
        else
          connection.fail(
            podError('POD_WORKLOAD_UNKNOWN', `failed to fetch information about local workload: ${name}`),
          );
      },
    );
  }

  /** Goes on when the policies that the workload names are known, or the wait was too long: then they deny. */
  withPolicies(connection: PodConnection, known: Workload, next: (workload: Workload) => void): void {
    const { mesh } = this.parts;
    const { unknownPolicy, limits } = this.options;
    const latest = (): Workload => mesh.ownWorkload() ?? known;
    const isComplete = (): boolean => missingPolicies(mesh.policies, latest().authorizationPolicies).length === 0;
    if (unknownPolicy === 'skip' || isComplete()) next(known);
    else this.#wait(connection, isComplete, limits.policyWaitMs, () => next(latest()));
  }

  /** Asks the policies; a call that they deny is turned away here. Registered first, so that no change is missed. */
  admit(connection: PodConnection, call: Call): boolean {
    const { policies } = this.parts.mesh;
    connection.watchPolicies(call);
    const decision = authorize(policies, call, null, this.options.unknownPolicy);
    if (decision.verdict === 'allow') return true;
    const denial = this.connections.denials.reasonsOf(decision, policies, call);
    connection.fail(podError('POD_POLICY_DENIED', rejectionMessage(decision)), denial);
    return false;
  }

  /** `prefix` is what Istio's ztunnel writes before the reason. */
  dial(connection: PodConnection, to: ConnectOptions, prefix: string, onOpen: (upstream: Connection) => void): void {
    const options = { ...this.options.dial, timeoutMs: this.options.limits.connectTimeoutMs, ...to };
    const onFail = (error: AmbitError): void =>
      connection.fail(podError('POD_UPSTREAM_FAILED', `${prefix}${error.message}`, error));
    const step = this.parts.engine.connect(options, {
      onOpen: (upstream) => connection.run(() => onOpen(upstream)),
      onFail,
    });
    connection.waitFor(step);
  }

  /** How the application is dialled for this client: with its address, where that was asked for (reference 4.7). */
  fromClient(clientIp: string, { ip, port }: SocketAddress): ConnectOptions {
    const keeps = this.options.preservesSource && clientIp !== ip;
    return keeps ? { ip, port, sourceIp: clientIp, transparent: true } : { ip, port };
  }

  /** Whose address it is: best effort, for telemetry. */
  workloadAt(address: SocketAddress): Workload | null {
    return this.parts.mesh.index.workloadByAddress(this.options.network, ipOf(address));
  }

  /** Goes on when it is met, when the time is up, and at once when too many wait already; never before it returned. */
  #wait(connection: PodConnection, isMet: () => boolean, timeoutMs: number, next: () => void): void {
    const { engine } = this.parts;
    const goOn = (): void => connection.run(next);
    const isFull = this.waiting.size >= this.options.limits.waitingMax;
    connection.waitFor(isFull ? engine.after(0, goOn) : this.waiting.wait(isMet, timeoutMs, engine, goOn));
  }
}
