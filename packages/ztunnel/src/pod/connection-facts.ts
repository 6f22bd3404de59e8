/**
 * What is told about a proxied connection, and to whom: plain facts, from which metrics, access log and decision records
 * make their views. Known when it is clear where the connection goes; what ends before that is only rejected.
 */
import type { Identity } from '@ambit/model/identity';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import type { SocketAddress } from '@ambit/net/engine';
import type { Denial } from '@ambit/telemetry/access-log';
import type { ByteCounts } from '@ambit/telemetry/traffic';
import type { ResponseFlag } from '@ambit/telemetry/traffic-labels';
import type { Baggage } from '@ambit/wire/baggage';

/** `outbound`: the pod's application called. `inbound`: it is called. */
export type Direction = 'outbound' | 'inbound';

export interface ConnectionFacts {
  readonly direction: Direction;
  /** Who dialled this proxy, by its socket. */
  readonly client: SocketAddress;
  /** Inbound it is looked up by address: for telemetry, never for a decision. */
  readonly sourceWorkload: Workload | null;
  /** Proved by mutual TLS; null in plaintext. */
  readonly sourceIdentity: Identity | null;
  /** What the caller's proxy said of it; inbound over HBONE only. */
  readonly sourceBaggage: Baggage | null;
  /** Outbound where this proxy dials, inbound where it was dialled. */
  readonly nextHop: SocketAddress;
  /** Of the CONNECT; null without HBONE. */
  readonly hboneAuthority: string | null;
  readonly destinationWorkload: Workload | null;
  readonly destinationService: Service | null;
  /** As its workload has it, whether or not anything proves it. */
  readonly destinationIdentity: Identity | null;
  /** By mutual TLS. */
  readonly encrypted: boolean;
}

export interface ConnectionFailure {
  readonly flag: ResponseFlag;
  readonly message: string;
  /** Null: no policy denied it, or its reasons were not kept. */
  readonly denial: Denial | null;
}

export interface ConnectionObserver {
  /** Before anything is dialled, and before a policy is asked. */
  opened(facts: ConnectionFacts): ConnectionTracker;
  /** Turned away before it was clear where it goes. */
  rejected(direction: Direction, client: SocketAddress, destination: SocketAddress, reason: string): void;
}

export interface ConnectionTracker {
  /** Bytes flow from now on; the counts grow by themselves until the end. */
  carrying(counts: ByteCounts): void;
  /** Once. `received` came from the client, `sent` went to it (reference 8.2). */
  closed(receivedBytes: number, sentBytes: number, failure: ConnectionFailure | null): void;
}
