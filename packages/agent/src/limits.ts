/** Bounds of the node's agent, each with its unit and reason. */

export interface ZdsServerLimits {
  /** Until the hello, and until each answer: as istio-cni. A proxy that exceeds it is given up and may come again. */
  readonly answerMs: number;
  /** New connections a second: as istio-cni. A proxy in a crash loop must not keep the agent busy with snapshots. */
  readonly connectionsPerSecond: number;
  /** Two in a rolling update, and those that have gone without saying so. */
  readonly connectionsMax: number;
  /** Orders that wait behind an outstanding one. A proxy that falls so far behind connects anew and gets a snapshot. */
  readonly queueMax: number;
}

export const ZDS_SERVER_LIMITS: ZdsServerLimits = Object.freeze({
  answerMs: 5000,
  connectionsPerSecond: 5,
  connectionsMax: 16,
  queueMax: 1024,
});

export interface EnrolmentLimits {
  /** In which each pod's rules are looked at once; a look is four programs and some 20 ms of a CPU. */
  readonly verifyEveryMs: number;
  /** Between two looks at least, so that a full node spends little on them. */
  readonly verifyStepMinMs: number;
  /** Namespaces worked on at a time: each is a program that the kernel makes wait for the others anyway. */
  readonly atOnce: number;
  /** Kubernetes advises 110 pods a node; some run 500. */
  readonly podsMax: number;
}

export const ENROLMENT_LIMITS: EnrolmentLimits = Object.freeze({
  verifyEveryMs: 30_000,
  verifyStepMinMs: 250,
  atOnce: 4,
  podsMax: 4096,
});

/** Bytes of the file of enrolled pods that are read: podsMax pods with the longest names. */
export const STATE_FILE_MAX_BYTES = 8 << 20;

/** Differences told in one line of the log; the count says how many there are. */
export const DIFFERENCES_TOLD_MAX = 5;
