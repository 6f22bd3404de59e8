/**
 * A connection's life in metrics and access log (ztunnel sections 8.1 to 8.3): counted as opened before anybody connects or
 * denies, closed always, failed where the flag is not `-`. Opened, sent and received carry the flag `-`, closed and failed
 * the final one.
 *
 * `received` are the bytes read from the one that connected to us, `sent` those written back to it, at both reporters.
 */
import type { Clock } from '@ambit/base/clock';
import type { AccessLog, AccessPeers, Denial } from './access-log.ts';
import type { LabelSet } from './metric-labels.ts';
import type { Counter } from './metric-series.ts';
import type { MetricRegistry } from './metrics.ts';
import type { NodeMetrics } from './node-metrics.ts';
import {
  type ResponseFlag,
  TRAFFIC_LABELS,
  type TrafficContext,
  type TrafficPeer,
  trafficDestination,
  trafficLabels,
  trafficSource,
  withFlag,
} from './traffic-labels.ts';

export interface ConnectionContext extends TrafficContext {
  /** `ip:port` of whoever connected to us. */
  readonly sourceAddress: string;
  /** `ip:port` of the next hop; at the destination our own. */
  readonly destinationAddress: string;
  /** `:authority` of the tunnel. */
  readonly hboneAddress: string | null;
}

/** Counts that grow by themselves; a copy is one. */
export interface ByteCounts {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ConnectionEnd {
  readonly flag: ResponseFlag;
  /** What the log says went wrong; null for an ordinary end. */
  readonly error: string | null;
  readonly denial?: Denial | null;
}

export interface TrafficOptions {
  readonly registry: MetricRegistry;
  readonly metrics: NodeMetrics;
  readonly accessLog: AccessLog;
  /** Monotonic. */
  readonly clock: Clock;
}

/** Of one process. */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #open = new Set<Connection>();

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  open(context: ConnectionContext): Connection {
    const connection = new Connection(this.#options, context, () => this.#open.delete(connection));
    this.#open.add(connection);
    return connection;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Brings the byte counters up to date; before every delta or exposition. */
  poll(): void {
    for (const connection of this.#open) connection.poll();
  }

  /** Ends in the books what the end of draining cuts. */
  drain(): void {
    for (const connection of this.#open) {
      connection.close({ flag: '-', error: 'connection closed due to connection drain' });
    }
  }
}

export class Connection {
  readonly #options: TrafficOptions;
  readonly #peers: AccessPeers;
  readonly #labels: LabelSet<typeof TRAFFIC_LABELS.names>;
  readonly #received: Counter;
  readonly #sent: Counter;
  readonly #startMs: number;
  readonly #onClose: () => void;
  #counts: ByteCounts = NO_BYTES;
  /** How far those were read. */
  #countedReceived = 0;
  #countedSent = 0;
  #receivedBytes = 0;
  #sentBytes = 0;
  #isClosed = false;

  /** Made by `Traffic.open`. */
  constructor(options: TrafficOptions, context: ConnectionContext, onClose: () => void) {
    const { registry, metrics, accessLog, clock } = options;
    const source = trafficSource(context);
    const destination = trafficDestination(context);
    this.#options = options;
    this.#onClose = onClose;
    this.#startMs = clock.nowMs();
    this.#peers = peersOf(context, source, destination);
    this.#labels = registry.labels(TRAFFIC_LABELS, trafficLabels(context, source, destination, '-'));
    this.#sent = metrics.sentBytes.at(this.#labels);
    this.#received = metrics.receivedBytes.at(this.#labels);
    accessLog.opened(this.#peers);
    metrics.connectionsOpened.at(this.#labels).add(1);
  }

  /** From now on the bytes are counted there; what was counted before stays. */
  carry(counts: ByteCounts): void {
    this.poll();
    this.#counts = counts;
    this.#countedReceived = 0;
    this.#countedSent = 0;
  }

  poll(): void {
    if (this.#isClosed) return;
    const { receivedBytes, sentBytes } = this.#counts;
    const received = receivedBytes - this.#countedReceived;
    const sent = sentBytes - this.#countedSent;
    this.#countedReceived = receivedBytes;
    this.#countedSent = sentBytes;
    this.#receivedBytes += received;
    this.#sentBytes += sent;
    this.#received.add(received);
    this.#sent.add(sent);
  }

  /** The first end counts: a connection may be given up while it fails. */
  close({ flag, error, denial = null }: ConnectionEnd): void {
    if (this.#isClosed) return;
    this.poll();
    this.#isClosed = true;
    const { registry, metrics, accessLog, clock } = this.#options;
    const labels = flag === '-' ? this.#labels : registry.labels(TRAFFIC_LABELS, withFlag(this.#labels.values, flag));
    metrics.connectionsClosed.at(labels).add(1);
    if (flag !== '-') metrics.connectionsFailed.at(labels).add(1);
    accessLog.complete(this.#peers, {
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#sentBytes,
      durationMs: clock.nowMs() - this.#startMs,
      error,
      denial,
    });
    this.#onClose();
  }
}

const NO_BYTES: ByteCounts = Object.freeze({ receivedBytes: 0, sentBytes: 0 });

/** Identities only where mutual TLS proved them; names of pods, and where those are not known, of services. */
function peersOf(context: ConnectionContext, source: TrafficPeer, destination: TrafficPeer): AccessPeers {
  const { answered, isMutualTls } = context;
  const destinationName =
    answered === null ? context.destination?.name || destination.canonicalService : destination.workload;
  return {
    reporter: context.reporter,
    sourceAddress: context.sourceAddress,
    sourceWorkload: context.source?.name || source.canonicalService,
    sourceNamespace: source.namespace,
    sourceIdentity: isMutualTls ? source.principal : '',
    sourceCluster: source.cluster,
    destinationAddress: context.destinationAddress,
    hboneAddress: context.hboneAddress ?? '',
    service: context.service?.hostname ?? '',
    destinationWorkload: destinationName,
    destinationNamespace: destination.namespace,
    destinationIdentity: isMutualTls ? destination.principal : '',
    destinationCluster: destination.cluster,
  };
}
