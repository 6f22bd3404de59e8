/**
 * What reaches the pod past HBONE (as Istio's ztunnel, reference 4.8): nobody vouches for the caller, so policies see no
 * identity, and whether that is enough is theirs to say (STRICT is such a policy). No byte is looked at.
 */
import { makeCall } from '@ambit/model/call';
import type { Workload } from '@ambit/model/workload';
import type { Connection, SocketAddress } from '@ambit/net/engine';
import { Held } from '@ambit/net/held';
import { identityOf, inboundService } from './attribution.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { podError } from './errors.ts';
import { ipOf } from './ip-of.ts';
import type { Pod } from './pod.ts';
import type { PodConnection } from './pod-connection.ts';

export class PlaintextPath {
  readonly #pod: Pod;

  constructor(pod: Pod) {
    this.#pod = pod;
  }

  accept(accepted: Connection): void {
    const { remote, originalDestination } = accepted;
    const held = new Held(accepted);
    const connection = this.#pod.connections.begin('inbound', remote, originalDestination, held);
    held.onGone = () => connection.clientLeft();
    connection.run(() => {
      if (this.#pod.options.ownPorts.includes(originalDestination.port)) {
        connection.fail(podError('POD_SELF_CALL', 'attempted recursive call to ourselves'));
        return;
      }
      this.#pod.withWorkload(connection, (known) =>
        this.#pod.withPolicies(connection, known, (workload) => this.#decide(held, connection, workload)),
      );
    });
  }

  #decide(held: Held, connection: PodConnection, workload: Workload): void {
    const { client, destination } = connection;
    connection.open(this.#facts(client, destination, workload));
    const admitted = this.#pod.admit(
      connection,
      makeCall({
        source: null,
        sourceIp: ipOf(client),
        destinationIp: ipOf(destination),
        destinationPort: destination.port,
        destination: workload,
      }),
    );
    if (!admitted) return;
    const to = this.#pod.fromClient(client.ip, destination);
    this.#pod.dial(connection, to, 'connection failed: ', (upstream) =>
      connection.carry(held.join(upstream, connection)),
    );
  }

  #facts(client: SocketAddress, destination: SocketAddress, workload: Workload): ConnectionFacts {
    const { index } = this.#pod.parts.mesh;
    return {
      direction: 'inbound',
      client,
      sourceWorkload: this.#pod.workloadAt(client),
      sourceIdentity: null,
      sourceBaggage: null,
      nextHop: destination,
      hboneAuthority: null,
      destinationWorkload: workload,
      destinationService: inboundService(index, workload, destination.port, null, ''),
      destinationIdentity: identityOf(workload),
      encrypted: false,
    };
  }
}
