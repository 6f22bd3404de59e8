/** What the bench asks of the load process, and what it gets back: plain data, as JSON on argv and on stdout. */

import type { Ipv4Address } from './sockets.ts';
import type { TargetPorts } from './target-protocol.ts';

export type Load =
  | {
      readonly kind: 'bulk-up' | 'bulk-down';
      readonly streams: number;
      /** Of all streams together. */
      readonly bytes: number;
      readonly warmupBytes: number;
    }
  | {
      readonly kind: 'rr' | 'crr';
      readonly connections: number;
      readonly durationMs: number;
      readonly warmupMs: number;
    }
  | {
      readonly kind: 'idle';
      /** Numbers of connections at which to stop and wait, rising. */
      readonly levels: readonly number[];
    };

export interface LoadRequest {
  readonly load: Load;
  readonly targetIp: string;
  readonly targetPorts: TargetPorts;
  /** SOCKS5 entry of the subject; null goes straight to the target. */
  readonly entry: Ipv4Address | null;
  /** Whose CPU the work is charged to; with all their children. */
  readonly subjectPids: readonly number[];
  /** Processes of the measuring side besides the load process itself. */
  readonly loadPids: readonly number[];
}

/** Figures by name; which ones, `loads.ts` says per load. */
export type Figures = Readonly<Record<string, number>>;
