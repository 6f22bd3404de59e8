/** What every part of one reactor reaches: its loop, its counters, its open connections. */
import type { EngineCounters } from '../engine.ts';
import type { BioPool } from './bio-pool.ts';
import type { Dial } from './dial.ts';
import type { EventLoop } from './event-loop.ts';
import type { ReactorListener } from './listener.ts';
import type { PeerCertificates } from './peer-certificates.ts';
import type { SocketConnection } from './socket-connection.ts';

export interface Shared {
  readonly loop: EventLoop;
  readonly counters: EngineCounters;
  /** Every connection with a descriptor, those in their handshake included. */
  readonly open: Set<SocketConnection>;
  readonly dials: Set<Dial>;
  readonly listeners: Set<ReactorListener>;
  readonly bios: BioPool;
  readonly peers: PeerCertificates;
  closesSinceTrim: number;
  /** Beyond the counting: the process decides when too many handlers have failed. */
  onFault(thrown: unknown): void;
  /** No more connections for now: a budget is used up. */
  overBudget(): boolean;
}
