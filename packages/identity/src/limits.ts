/** Every bound of this package, with unit and reason. `as ztunnel` marks numbers of Istio's ztunnel (Appendix A). */

/** As ztunnel: what a restart of a node may ask of a CA at once. */
export const FETCHES_PARALLEL_MAX = 8;
/** As ztunnel; one more than a node usually has pods. What overflows is fetched when a connection needs it. */
export const WARM_UPS_QUEUED_MAX = 256;
/** Identities on one node: every one costs a key, a chain and a refresh. Kubernetes recommends at most 110 pods. */
export const IDENTITIES_MAX = 4096;
/** From a free slot to the certificate or an error; ztunnel has no limit, so one stalled call keeps a slot for ever. */
export const FETCH_TIMEOUT_MS = 15_000;
/** Of one call to the CA, connecting included; shorter than the whole fetch, so that its own error is the one seen. */
export const CA_CALL_TIMEOUT_MS = 10_000;

/** As ztunnel: first delay after a failure, doubled each time, give or take a fifth, never above the last. */
export const RETRY_FIRST_MS = 1000;
export const RETRY_MAX_MS = 150_000;
export const RETRY_SPREAD = 0.2;
/** A certificate that is half over when it arrives would otherwise be refreshed without pause. */
export const REFRESH_MIN_MS = 1000;
/** Nobody sleeps longer: a machine that slept, or whose clock was set, notices within a minute; timers hold 24 days. */
export const SLEEP_MAX_MS = 60_000;
/** A clock set back by more makes every planned fetch due, because nobody knows any longer when it was meant. */
export const CLOCK_BACK_MAX_MS = 60_000;

/** As ztunnel: Kubernetes replaces the files of a volume in several steps. */
export const ROOTS_DEBOUNCE_MS = 2000;
/** Certificates in one bundle; the store of an operating system has some 150. */
export const CERTIFICATES_IN_BUNDLE_MAX = 1000;
/** A projected service account token has 1 to 2 KiB. */
export const TOKEN_MAX_BYTES = 64 * 1024;
export const ROOTS_FILE_MAX_BYTES = 4 * 1024 * 1024;

/** As ztunnel: HTTP/2 PING on a control plane's connection, and how long its answer may take. */
export const KEEPALIVE_TIME_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;
/** A chain and a bundle of roots; far below what gRPC takes by default (4 MiB). */
export const CA_RESPONSE_MAX_BYTES = 1024 * 1024;
/** Of HTTP/2: with the 64 KiB of the protocol a push of 200 MiB waits three thousand times for the other side. */
export const RECEIVE_WINDOW_MAX_BYTES = 4 * 1024 * 1024;
/** Silence during the TLS handshake with a control plane, which may be busy with those of a thousand nodes. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
