/** Every bound of the DNS proxy, with unit and reason. `as ztunnel` marks a number of Istio's (reference, Appendix A). */

/** As ztunnel. */
export const ANSWER_TTL_SECONDS = 30;

/** Header, question, OPT, signature: no query has more records behind its question. */
export const QUERY_RECORDS_MAX = 16;

/** Queries are short; RFC 8484 and resolvers agree on 4096 as more than anybody sends. */
export const QUERY_BYTES_MAX = 4096;

/** What a client takes over UDP unless it says more (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3). */
export const UDP_ANSWER_BYTES_DEFAULT = 512;
/** The longest payload of a UDP datagram over IPv4. */
export const UDP_ANSWER_BYTES_MAX = 65_507;
/** The prefix has 16 bits (RFC 1035 section 4.2.2). */
export const TCP_ANSWER_BYTES_MAX = 65_535;

/** As ztunnel: without a whole query for so long, a TCP client is let go. */
export const TCP_IDLE_MS = 5000;
/** As ztunnel: queries that one TCP client may have unanswered. */
export const TCP_PENDING_MAX = 32;
/** TCP clients of one pod; each costs a descriptor, and resolvers use TCP for one answer in many. */
export const TCP_CONNECTIONS_MAX = 128;

/** Queries of one pod that wait for an upstream; each costs a descriptor. More are answered SERVFAIL. */
export const UPSTREAM_PENDING_MAX = 256;
/** As ztunnel. */
export const UPSTREAM_CONNECT_MS = 5000;
/** Wrong answers to one try, each a guess of the query's id, after which the next server is asked. */
export const UPSTREAM_WRONG_ANSWERS_MAX = 100;

/** As resolv.conf(5): MAXNS, and what `timeout:` and `attempts:` are and may be. */
export const NAMESERVERS_MAX = 3;
export const RESOLVER_TIMEOUT_SECONDS = 5;
export const RESOLVER_TIMEOUT_SECONDS_MAX = 30;
export const RESOLVER_ATTEMPTS = 2;
export const RESOLVER_ATTEMPTS_MAX = 5;
/** As current glibc has no limit of its own: a list longer than this is a mistake, and each entry costs lookups. */
export const SEARCH_DOMAINS_MAX = 32;
