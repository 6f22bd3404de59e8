/**
 * The access log of Istio's ztunnel (section 8.3), field by field, with two fields of ours at the end of a denial:
 * `deny_reason` in one line, and `deny_id` to ask for the whole explanation with. Byte counts flip at the source, so that
 * `bytes_sent` is what the one who connected sent.
 */
import { beginLine, type LineBuilder } from './log-line.ts';
import type { LineOutput } from './scoped-log.ts';
import type { Reporter } from './traffic-labels.ts';

const SCOPE = 'access';

/** Empty: not known, or not to be shown. */
export interface AccessPeers {
  readonly reporter: Reporter;
  readonly sourceAddress: string;
  readonly sourceWorkload: string;
  readonly sourceNamespace: string;
  readonly sourceIdentity: string;
  readonly sourceCluster: string;
  readonly destinationAddress: string;
  readonly hboneAddress: string;
  readonly service: string;
  readonly destinationWorkload: string;
  readonly destinationNamespace: string;
  readonly destinationIdentity: string;
  readonly destinationCluster: string;
}

/** From decisions.ts. */
export interface Denial {
  readonly reason: string;
  /** Null: nothing is kept to be asked for. */
  readonly id: string | null;
}

export interface AccessResult {
  /** From and to the one that connected to us. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
  readonly error: string | null;
  readonly denial: Denial | null;
}

/** A connection that ended before anything was known of it. */
export interface EarlyReject {
  readonly reporter: Reporter;
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly error: string;
}

export class AccessLog {
  readonly #output: LineOutput;

  constructor(output: LineOutput) {
    this.#output = output;
  }

  opened(peers: AccessPeers): void {
    const line = this.#begin('debug', 'connection opened');
    if (line === null) return;
    addPeers(line, peers);
    this.#output.sink(line.end());
  }

  complete(peers: AccessPeers, result: AccessResult): void {
    const { receivedBytes, sentBytes, durationMs, error, denial } = result;
    const line = this.#begin(error === null ? 'info' : 'error', 'connection complete');
    if (line === null) return;
    addPeers(line, peers);
    const isSource = peers.reporter === 'source';
    line.number('bytes_sent', isSource ? receivedBytes : sentBytes);
    line.number('bytes_recv', isSource ? sentBytes : receivedBytes);
    line.string('duration', `${Math.floor(durationMs)}ms`);
    line.string('error', error);
    if (denial !== null) {
      line.string('deny_reason', denial.reason);
      line.string('deny_id', denial.id);
    }
    this.#output.sink(line.end());
  }

  rejected({ reporter, sourceAddress, destinationAddress, error }: EarlyReject): void {
    const line = this.#begin('warn', 'connection failed');
    if (line === null) return;
    line.bare('src.addr', sourceAddress);
    line.bare('dst.addr', destinationAddress);
    line.string('direction', directionOf(reporter));
    line.string('error', error);
    this.#output.sink(line.end());
  }

  #begin(level: 'debug' | 'info' | 'warn' | 'error', message: string): LineBuilder | null {
    const { filter, format, clock } = this.#output;
    if (!filter.allows(SCOPE, level)) return null;
    return beginLine(format, { atMs: clock.nowMs(), level, scope: SCOPE, message });
  }
}

function addPeers(line: LineBuilder, peers: AccessPeers): void {
  line.bare('src.addr', peers.sourceAddress);
  line.string('src.workload', peers.sourceWorkload);
  line.string('src.namespace', peers.sourceNamespace);
  line.string('src.identity', peers.sourceIdentity);
  line.string('src.cluster', peers.sourceCluster);
  line.bare('dst.addr', peers.destinationAddress);
  line.bare('dst.hbone_addr', peers.hboneAddress);
  line.string('dst.service', peers.service);
  line.string('dst.workload', peers.destinationWorkload);
  line.string('dst.namespace', peers.destinationNamespace);
  line.string('dst.identity', peers.destinationIdentity);
  line.string('dst.cluster', peers.destinationCluster);
  line.string('direction', directionOf(peers.reporter));
}

function directionOf(reporter: Reporter): 'outbound' | 'inbound' {
  return reporter === 'source' ? 'outbound' : 'inbound';
}
