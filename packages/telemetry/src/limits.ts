/** Every bound of this package, with unit and reason. */

/**
 * Label sets of one process, about 1 KB each and up to five series: a node of a hundred pods that each talk with a hundred
 * others. Peers choose some labels (baggage), so without a bound they would choose how much memory we take.
 */
export const LABEL_SETS_MAX = 20_000;

/** Characters of a label that a peer chose through baggage. Names of Kubernetes end at 253. */
export const BAGGAGE_LABEL_CHARS_MAX = 253;

/** Series that one delta from a child to its parent carries, 1 MB if every label set is new; the rest waits for the next. */
export const DELTA_SAMPLES_MAX = 1000;

/** Directives of a log filter, and characters of one's scope: it comes from outside and is told back. */
export const LOG_DIRECTIVES_MAX = 64;
export const LOG_SCOPE_CHARS_MAX = 128;

/** Explanations a process works out each second; denials beyond that are logged with the policy alone. */
export const EXPLANATIONS_PER_SECOND_MAX = 100;

/** Denials whose explanation is used again for the same call; a denied client mostly tries again at once. */
export const EXPLANATIONS_REUSED_MAX = 256;

/** Then it is worked out again: an id in the log must still be in the store some while later. */
export const EXPLANATION_REUSE_MS = 10_000;

/** Explanations kept to be asked for: 20 s of a child that denies as fast as it may explain. */
export const DECISIONS_KEPT_MAX = 2000;

/** Characters of all kept explanations together, and of one: policies decide how long one is. */
export const DECISIONS_KEPT_CHARS_MAX = 8 * 1024 * 1024;
export const DECISION_CHARS_MAX = 32 * 1024;

/** Explanations in a list; a person reads it. */
export const DECISIONS_LISTED_MAX = 100;

/** Of each HTTP server here: a scraper, a probe and a few people. */
export const HTTP_CONNECTIONS_MAX = 100;
export const HTTP_HEADERS_MAX_BYTES = 16 * 1024;
export const HTTP_REQUEST_TIMEOUT_MS = 10_000;
/** Longer than Prometheus' and the kubelet's interval would only hold descriptors. */
export const HTTP_KEEP_ALIVE_MS = 5_000;
/** For answers that are on their way when the server closes. */
export const HTTP_CLOSE_GRACE_MS = 2_000;
