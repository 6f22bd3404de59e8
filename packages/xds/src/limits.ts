/** Every bound of this package, with unit and reason. `as ztunnel` marks numbers of Istio's ztunnel (Appendix A). */

/** As ztunnel: the first push of a large mesh comes in one message. */
export const XDS_RESPONSE_MAX_BYTES = 200 * 1024 * 1024;

/** As ztunnel: delays between two connections. */
export const BACKOFF_FIRST_MS = 10;
export const BACKOFF_MAX_MS = 15_000;
/** A stream that ends sooner counts as one that never came up; ztunnel would connect again at once, and for ever. */
export const STREAM_LIVED_MIN_MS = 1000;

/** TCP (ztunnel: 5 s) and TLS together; a control plane that restarts is full of handshakes. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Names asked for and not answered. As many as ztunnel resolves hostnames; beyond that it is a scan and no traffic. */
export const DEMANDS_PENDING_MAX = 4096;
/** ztunnel waits for ever. As long as a workload of its own is waited for (5 s): a connection is behind it. */
export const DEMAND_TIMEOUT_MS = 5000;

/** Refused resources that a NACK names; the rest is counted. An operator reads it in the control plane's log. */
export const REJECTIONS_NAMED_MAX = 100;
