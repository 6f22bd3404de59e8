/**
 * Numbers behind the metrics istio_dns_* of one pod, by query type and protocol. The labels that name the pod are added
 * by who exports them.
 */
export type DnsProtocol = 'udp' | 'tcp';

/** Upper bounds in seconds; one more bucket takes the rest. As Istio's ztunnel. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = [0.0005, 0.001, 0.01, 0.1, 1, 5];

export interface DnsCount {
  /** In lower case, of the few kinds of query-types.ts. */
  readonly queryType: string;
  readonly protocol: DnsProtocol;
  requests: number;
  upstreamRequests: number;
  /** No answer came, or one that says that the upstream could not help. */
  upstreamFailures: number;
  /** Not cumulative; one more than there are bounds. */
  readonly durationBuckets: number[];
  durationSumSeconds: number;
}

export class DnsCounters {
  /** Datagrams that were no query: responses, and less than a header. */
  dropped = 0;
  readonly #counts = new Map<string, DnsCount>();

  /** `queryType` is one that `queryTypeName` gives. */
  of(queryType: string, protocol: DnsProtocol): DnsCount {
    const key = `${queryType} ${protocol}`;
    let count = this.#counts.get(key);
    if (count === undefined) {
      count = {
        queryType: queryType.toLowerCase(),
        protocol,
        requests: 0,
        upstreamRequests: 0,
        upstreamFailures: 0,
        durationBuckets: new Array<number>(DURATION_BUCKETS_SECONDS.length + 1).fill(0),
        durationSumSeconds: 0,
      };
      this.#counts.set(key, count);
    }
    return count;
  }

  counts(): Iterable<Readonly<DnsCount>> {
    return this.#counts.values();
  }
}

export function recordDuration(count: DnsCount, seconds: number): void {
  const bucket = DURATION_BUCKETS_SECONDS.findIndex((bound) => seconds <= bound);
  count.durationBuckets[bucket < 0 ? DURATION_BUCKETS_SECONDS.length : bucket]! += 1;
  count.durationSumSeconds += seconds;
}
