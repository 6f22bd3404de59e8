/**
 * Every bound of the node proxy, with unit and reason; the page of docs/reference and `--help` print this table. `as
 * ztunnel` marks a number that Istio's ztunnel has too. Bounds of the mechanisms stand with them (@ambit/net/limits).
 */

interface Limit {
  readonly value: number;
  readonly unit: 'ms' | 'bytes' | 'count';
  readonly reason: string;
}

export const LIMIT_TABLE = {
  workloadWaitMs: {
    value: 5000,
    unit: 'ms',
    reason:
      'as ztunnel: a pod can be faster than the news of it; the connection waits for its workload, then is refused',
  },
  policyWaitMs: {
    value: 5000,
    unit: 'ms',
    reason: 'a policy that a workload names and that has not come yet is waited for, then denies; ztunnel skips it',
  },
  waitersMax: {
    value: 16_384,
    unit: 'count',
    reason:
      'connections that wait for a workload or a policy; further ones are refused at once, as if their time were up',
  },
  sharedPartsMax: {
    value: 65_536,
    unit: 'count',
    reason: 'distinct values, for each kind of part, that workloads have in common and keep once; then it starts over',
  },
  localFileMaxBytes: {
    value: 4 * 1024 * 1024,
    unit: 'bytes',
    reason:
      'a local mesh file has some 25,000 workloads then and takes seconds, in which its process does nothing else',
  },
  localFileNodesMax: {
    value: 2_000_000,
    unit: 'count',
    reason: 'values read from a local mesh file: aliases of YAML can make a small file endless',
  },
  localFileDebounceMs: {
    value: 200,
    unit: 'ms',
    reason: 'an editor writes a file in several steps; it is read when it has been quiet for this long',
  },
  localFilePollMs: {
    value: 2000,
    unit: 'ms',
    reason: 'file systems that notify nobody (network mounts, some overlays) are looked at this often',
  },
  socks5HandshakeMs: {
    value: 10_000,
    unit: 'ms',
    reason: 'from the connection to the target, a DNS answer included; a refused client has the rest of it to end',
  },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof LIMIT_TABLE;

export const LIMITS: Readonly<Record<LimitName, number>> = Object.freeze(
  Object.fromEntries(Object.entries(LIMIT_TABLE).map(([name, { value }]) => [name, value])) as Record<
    LimitName,
    number
  >,
);
