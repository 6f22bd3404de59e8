/** Bounds of redirection, each with its unit and reason. */

/** One call of nft, iptables or ip: the wait for the xtables lock and some work; longer means that it hangs. */
export const TOOL_TIMEOUT_MS = 20_000;

/** Wait of iptables for whoever else changes rules (kube-proxy with thousands of services holds the lock for seconds). */
export const XTABLES_LOCK_WAIT_S = 10;

/** What a tool may print: a node with 50,000 rules of kube-proxy saves 10 MB. */
export const TOOL_OUTPUT_BYTES_MAX = 32 << 20;

/** Of a tool's complaint in an error: its first lines say it all. */
export const TOOL_COMPLAINT_CHARS_MAX = 600;

/** Ports, and address blocks, that one pod may exclude: each is a rule that every new connection passes. */
export const EXCLUSIONS_MAX = 64;

/** Interfaces of virtual machines in one pod. */
export const REROUTE_INTERFACES_MAX = 16;

/** Name of an interface (IFNAMSIZ without its zero). */
export const INTERFACE_NAME_CHARS_MAX = 15;

/** Addresses of one family in the set of probed pods: ipset's default; Kubernetes advises 110 pods a node. */
export const PROBED_ADDRESSES_MAX = 65_536;

/** Wanted rulesets kept as the tool prints them: pods differ by few annotations, so that few are ever in use. */
export const PRINTED_PLANS_MAX = 32;
