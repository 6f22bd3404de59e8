/** What one end of a connection needs of the network around it. */
import type { Rng } from '@ambit/base/rng';
import type { EngineCounters } from '../engine.ts';
import type { LentView } from './lent-view.ts';
import type { Schedule } from './schedule.ts';

export interface World {
  readonly schedule: Schedule;
  readonly rng: Rng;
  readonly view: LentView;
  /** Sent and not yet read, each way: the kernel's two buffers. */
  readonly linkBytes: number;
  /** Mark of `writableBytes()`. */
  readonly queueBytes: number;
  readonly resetRate: number;
  /** Wall clock. */
  wallMs(): number;
  delayMs(): number;
  /** How much of `limitBytes` one read or write gets done. At least 1. */
  pieceBytes(limitBytes: number): number;
  trace(text: string): void;
}

/** The engine that an end belongs to. */
export interface EndpointOwner {
  readonly counters: EngineCounters;
  /** The last call of the end was made; its descriptor is free. */
  gone(endpoint: object): void;
}
