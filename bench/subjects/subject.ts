/** What stands between client and target during a measurement. */
import type { Children } from '../children.ts';
import type { Ipv4Address } from '../load/sockets.ts';

export interface SubjectOptions {
  /** One HBONE connection per application connection. */
  readonly unpooled: boolean;
  /** The two ends of HBONE in processes of their own, where the subject can, so that their memory is told apart. */
  readonly split: boolean;
}

export interface RunningSubject {
  /** SOCKS5 listener; null where clients go to the target themselves. */
  readonly entry: Ipv4Address | null;
  /** Its processes; their children are found. Client side first when `split`. */
  readonly pids: readonly number[];
  /** The first process holds the client ends of HBONE, the second the server ends. */
  readonly split: boolean;
  /** Descriptors that an idle application connection costs the process that needs most of them. */
  readonly descriptorsEach: number;
  /** The last it said on stderr; empty when nothing. */
  complaint(): string;
  stop(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  /** Why it cannot run here, as one line with what to do; null when it can. */
  unavailable(unpooled: boolean): string | null;
  start(children: Children, options: SubjectOptions): Promise<RunningSubject>;
}

export const START_TIMEOUT_MS = 15_000;
