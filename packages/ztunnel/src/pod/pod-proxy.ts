/**
 * The data path of one pod: what its application dials, what other proxies and everybody else bring it. Owns its pool, its
 * HBONE server and its connections; listeners belong to who made them, and are closed before a drain.
 */
import type { Connection, EngineTimer, SocketAddress } from '@ambit/net/engine';
import { HbonePool, HboneServer, type PoolCounters, type ServerCounters } from '@ambit/net/hbone';
import { podError } from './errors.ts';
import { InboundPath } from './inbound.ts';
import { OutboundPath } from './outbound.ts';
import { PlaintextPath } from './plaintext.ts';
import { Pod } from './pod.ts';
import type { PodConnection } from './pod-connection.ts';
import type { PodDependencies, PodOptions } from './pod-context.ts';

/** Plain numbers, for metrics and tests. */
export interface PodCounters {
  /** Open now, in any state. */
  readonly connections: number;
  /** Of these: waiting for the state of the mesh. */
  readonly waiting: number;
  /** Of these: a changed policy may cut them. */
  readonly live: number;
  readonly rechecked: number;
  /** Cut by a changed policy. */
  readonly forbidden: number;
  /** Bugs of ours; each cost one connection. */
  readonly faults: number;
  readonly pool: Readonly<PoolCounters>;
  readonly server: Readonly<ServerCounters>;
}

export class PodProxy {
  readonly #pod: Pod;
  readonly #pool: HbonePool;
  readonly #server: HboneServer;
  readonly #outbound: OutboundPath;
  readonly #plaintext: PlaintextPath;
  readonly #deadlines: EngineTimer[] = [];
  readonly #onDrained: (() => void)[] = [];
  #draining = false;
  #serverDrained = false;
  #poolDrained = false;

  constructor(options: PodOptions, parts: PodDependencies) {
    const { engine } = parts;
    const { hboneLimits: limits, trustDomain } = options;
    this.#pod = new Pod(options, parts);
    this.#pool = new HbonePool({ engine, limits });
    this.#outbound = new OutboundPath(this.#pod, this.#pool);
    this.#plaintext = new PlaintextPath(this.#pod);
    const inbound = new InboundPath(this.#pod);
    this.#server = new HboneServer({
      engine,
      trustDomain,
      limits,
      onConnect: (call, responder) => inbound.accept(call, responder),
    });
  }

  /** Port 15001, and with a destination that it was told: SOCKS5. */
  outbound(connection: Connection, destination: SocketAddress = connection.originalDestination): void {
    this.#outbound.accept(connection, destination);
  }

  /** Port 15008: TLS with a verified client. */
  inbound(connection: Connection): void {
    this.#server.accept(connection);
  }

  /** Port 15006. */
  plaintext(connection: Connection): void {
    this.#plaintext.accept(connection);
  }

  /** After each change of what `PodMesh` answers. */
  meshChanged(): void {
    // First who is in already: a policy that comes for who waits may forbid them.
    this.#pod.live.policiesChanged(this.#pod.parts.mesh.policies);
    this.#pod.waiting.wake();
  }

  /** What runs may finish until the deadline. Close the listeners first. A second call may shorten the time. */
  drain(deadlineMs: number, onDrained: () => void): void {
    this.#onDrained.push(onDrained);
    this.#deadlines.push(this.#pod.parts.engine.after(deadlineMs, () => this.#cutAll()));
    if (this.#draining) {
      this.#tellIfDrained();
      return;
    }
    this.#draining = true;
    this.#pod.connections.onEmpty = () => this.#tellIfDrained();
    this.#server.drain(deadlineMs, () => {
      this.#serverDrained = true;
      this.#tellIfDrained();
    });
    this.#pool.drain(deadlineMs, () => {
      this.#poolDrained = true;
      this.#tellIfDrained();
    });
  }

  /** At once: the pod is gone. */
  close(onClosed: () => void): void {
    this.drain(0, onClosed);
  }

  /** For the admin port and for counting bytes of what still runs. */
  connections(): Iterable<PodConnection> {
    return this.#pod.connections;
  }

  get counters(): PodCounters {
    const { connections, waiting, live } = this.#pod;
    return {
      connections: connections.size,
      waiting: waiting.size,
      live: live.size,
      rechecked: live.counters.rechecked,
      forbidden: live.counters.forbidden,
      faults: connections.faults + live.counters.faults,
      pool: this.#pool.counters,
      server: this.#server.counters,
    };
  }

  #cutAll(): void {
    this.#pod.connections.close(podError('POD_DRAINED', 'connection closed due to connection drain'));
    this.#server.close();
    this.#pool.close();
  }

  #tellIfDrained(): void {
    if (!this.#serverDrained || !this.#poolDrained || this.#pod.connections.size > 0) return;
    for (const deadline of this.#deadlines.splice(0)) deadline.cancel();
    for (const onDrained of this.#onDrained.splice(0)) this.#pod.parts.engine.after(0, onDrained);
  }
}
