/** Bounds of the proxy's side of ZDS, each with its unit and reason. */

export interface ZdsClientLimits {
  /** Until a request is answered. The agent waits 5 s and then gives the connection up, so the answer leaves before. */
  readonly answerMs: number;
  /** Between two attempts at pods that did not start: as Istio's ztunnel. */
  readonly retryMs: number;
  /** First wait before connecting again, as Istio's ztunnel (10 ms doubled); each one after is twice as long. */
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** Pods that run or wait to run: the kernel's descriptors per process are the true bound, this one says so in words. */
  readonly podsMax: number;
}

export const ZDS_CLIENT_LIMITS: ZdsClientLimits = Object.freeze({
  answerMs: 4000,
  retryMs: 5000,
  reconnectMinMs: 20,
  reconnectMaxMs: 15_000,
  podsMax: 4096,
});

/** Share of a wait that chance adds or takes away, so that the proxies of a rolling update do not come all at once. */
export const RECONNECT_JITTER = 0.2;
