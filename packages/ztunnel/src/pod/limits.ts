/** Every bound of a pod's data path, with unit and reason. `as ztunnel`: Istio's has the same number. */
import { LIMITS } from '../limits.ts';

export interface PodLimits {
  /** For the first workloads and policies after a start, while connections are held. Above a slow first sync. */
  readonly readyWaitMs: number;
  /** As ztunnel: for the pod's own workload to be known. */
  readonly workloadWaitMs: number;
  /** For policies that the workload names; then they deny. As long as the wait for the workload. */
  readonly policyWaitMs: number;
  /** For a certificate of the pod's identity. Above one attempt of the certificate authority. */
  readonly identityWaitMs: number;
  /** As ztunnel: of every dial that is not HBONE. */
  readonly connectTimeoutMs: number;
  /** Connections of one pod that wait for state; each holds a descriptor and no bytes. */
  readonly waitingMax: number;
  /** Connections of one pod at once, in any state; about what 2 GB carries. */
  readonly connectionsMax: number;
  /** Live connections asked again in one turn after a policy changed: some milliseconds with many policies. */
  readonly rechecksPerTurn: number;
}

export const POD_LIMITS: PodLimits = Object.freeze({
  readyWaitMs: 30_000,
  workloadWaitMs: LIMITS.workloadWaitMs,
  policyWaitMs: LIMITS.policyWaitMs,
  identityWaitMs: 10_000,
  connectTimeoutMs: 10_000,
  waitingMax: 4096,
  connectionsMax: 100_000,
  rechecksPerTurn: 256,
});
