/**
 * Every environment variable that the node proxy reads: name, form, default and meaning in one place, from which parsing,
 * `--help` and the page of docs/reference are made. Names and forms are those of Istio's ztunnel; ours begin with AMBIT_.
 */
import {
  boolean,
  choice,
  controlPlane,
  cpus,
  durationMs,
  integer,
  type Kind,
  logFilter,
  path,
  secret,
  text,
  workers,
  workloadInfo,
} from './kinds.ts';

export interface Variable<Value> {
  readonly kind: Kind<Value>;
  /** As somebody would write it; null: not set. */
  readonly default: string | null;
  /** Where the default is more than a text. */
  readonly defaultNote: string | null;
  readonly about: string;
  /** Its feature is not built. A value other than the default, or those in the list, is refused. */
  readonly notYet: NotYet | null;
}

interface NotYet {
  /** Null: everything but the default. */
  readonly refused: readonly string[] | null;
}

interface Details {
  readonly defaultNote?: string;
  readonly notYet?: true | readonly string[];
}

function variable<Value>(kind: Kind<Value>, initial: string, about: string, details: Details = {}): Variable<Value> {
  return { kind, default: initial, about, ...detailsOf(details) };
}

function optional<Value>(kind: Kind<Value>, about: string, details: Details = {}): Variable<Value | null> {
  return { kind, default: null, about, ...detailsOf(details) };
}

function detailsOf({ defaultNote, notYet }: Details): Pick<Variable<never>, 'defaultNote' | 'notYet'> {
  return {
    defaultNote: defaultNote ?? null,
    notYet: notYet === undefined ? null : { refused: notYet === true ? null : notYet },
  };
}

const WINDOW_MAX = 2 ** 31 - 1;
const ISTIOD = 'istiod of the cluster, or https://localhost:15012 outside of one';

const PROCESS = {
  PROXY_MODE: variable(choice('shared', 'dedicated'), 'shared', 'all pods of a node, or one workload beside the proxy'),
  PROXY_WORKLOAD_INFO: optional(workloadInfo, 'the workload of dedicated mode, which needs it'),
  ENABLE_PROXY: variable(boolean, 'true', 'carry traffic; without it only names are answered', { notYet: true }),
  NETWORK: variable(text, '', 'the network of the mesh that this node is on'),
  NODE_NAME: optional(text, 'the node: only its workloads are local; without it all are'),
  CLUSTER_ID: variable(text, 'Kubernetes', 'the cluster; ISTIO_META_CLUSTER_ID counts more'),
  CLUSTER_DOMAIN: variable(text, 'cluster.local', 'the DNS domain of services'),
  TRUST_DOMAIN: variable(text, 'cluster.local', "of the proxy's own identity"),
  POD_NAME: optional(text, "the proxy's own pod: with POD_NAMESPACE and SERVICE_ACCOUNT it is in the mesh itself"),
  POD_NAMESPACE: optional(text, "namespace of the proxy's own pod"),
  SERVICE_ACCOUNT: optional(text, "service account of the proxy's own pod"),
  INSTANCE_IP: variable(text, '1.1.1.1', "address of the proxy's own pod, told to the control plane"),
  ZTUNNEL_WORKER_THREADS: optional(workers, 'data processes', {
    defaultNote: 'a quarter of the CPUs, at least 2',
  }),
  ZTUNNEL_CPU_LIMIT: optional(integer(1, 65_535), 'the CPUs there are, where the machine has more'),
  ZTUNNEL_RESOURCE_CPU_LIMIT: optional(cpus, 'CPU limit of the pod: as many data processes'),
  ZTUNNEL_RESOURCE_CPU_REQUEST: optional(cpus, 'CPU request of the pod: at least as many data processes'),
  CONNECTION_TERMINATION_DEADLINE: optional(durationMs, 'how long connections may go on after SIGTERM', {
    defaultNote: '5s, or from TERMINATION_GRACE_PERIOD_SECONDS',
  }),
  TERMINATION_GRACE_PERIOD_SECONDS: optional(integer(0, 1_000_000), 'of the pod: connections end 5 s (1 s) before it'),
  LOG_FORMAT: variable(choice('plain', 'json'), 'plain', 'how log lines are written'),
  RUST_LOG: variable(logFilter, 'info', 'which log lines are written, by scope'),
  AUTHZ_POLICY_INFO_LOGGING: variable(boolean, 'false', 'decisions on policies are logged at info, not debug'),
};

const CONTROL_PLANE = {
  XDS_ADDRESS: optional(controlPlane, 'where workloads, services and policies come from; empty switches it off', {
    defaultNote: `discoveryAddress of PROXY_CONFIG, else ${ISTIOD}; nothing with a local mesh`,
  }),
  XDS_ROOT_CA: optional(text, 'roots for XDS_ADDRESS: a path, SYSTEM, or PEM', {
    defaultNote: './var/run/secrets/istio/root-cert.pem',
  }),
  ALT_XDS_HOSTNAME: optional(text, 'another name that the control plane may have in its certificate'),
  XDS_ON_DEMAND: variable(boolean, 'false', 'ask for workloads when they are called', { notYet: true }),
  LOCAL_XDS_PATH: optional(path, 'a YAML file with the mesh, in place of a control plane; read again when it changes'),
  LOCAL_XDS: optional(text, 'the same inline'),
  CA_ADDRESS: optional(controlPlane, 'where certificates come from', { defaultNote: ISTIOD }),
  CA_ROOT_CA: optional(text, 'roots for CA_ADDRESS: a path, SYSTEM, or PEM', {
    defaultNote: './var/run/secrets/istio/root-cert.pem',
  }),
  ALT_CA_HOSTNAME: optional(text, 'another name that the CA may have in its certificate'),
  AUTH_TOKEN: optional(secret, 'shows who the proxy is: a path, read at each call, or the token itself', {
    defaultNote: './var/run/secrets/tokens/istio-token, if it is there',
  }),
  SECRET_TTL: variable(durationMs, '24h', 'life of certificates to ask for'),
  FAKE_CA: variable(boolean, 'false', 'certificates from an authority inside of the process, for tests'),
  PROXY_CONFIG: optional(
    text,
    'YAML with discoveryAddress, proxyAdminPort, statsPort, concurrency, proxyMetadata; counts more than ./etc/istio/config/mesh',
  ),
};

const PODS = {
  INPOD_UDS: variable(path, '/var/run/ztunnel/ztunnel.sock', 'socket of the node agent that tells of pods'),
  INPOD_PORT_REUSE: variable(boolean, 'true', 'a next proxy may listen beside this one', { notYet: true }),
  PACKET_MARK: optional(integer(0, 2 ** 32 - 1), 'mark of every packet of the proxy', {
    defaultNote: '1337 in shared mode',
  }),
  ENABLE_ORIG_SRC: optional(
    boolean,
    'applications see the address of their client; false never, true or do not start',
    {
      defaultNote: 'if the system allows it',
    },
  ),
  IPV6_ENABLED: variable(boolean, 'true', 'listen and answer for IPv6 too'),
  LOCALHOST_APP_TUNNEL: variable(boolean, 'true', 'a waypoint that takes PROXY protocol is reached on loopback'),
  UNSTABLE_ENABLE_SOCKS5: variable(boolean, 'false', 'programs may reach the mesh by SOCKS5'),
  PREFERED_SERVICE_NAMESPACE: optional(text, 'its services win when names are resolved and none is nearer'),
};

const CONNECTIONS = {
  HTTP2_STREAM_WINDOW_SIZE: variable(integer(65_535, WINDOW_MAX), '4194304', 'bytes one tunnel may have in flight'),
  HTTP2_CONNECTION_WINDOW_SIZE: variable(
    integer(65_535, WINDOW_MAX),
    '16777216',
    'bytes of all tunnels of a connection',
  ),
  HTTP2_FRAME_SIZE: variable(integer(16_384, 2 ** 24 - 1), '1048576', 'bytes of the largest frame'),
  POOL_MAX_STREAMS_PER_CONNECTION: variable(integer(1, 65_535), '100', 'tunnels of one connection to a peer'),
  POOL_UNUSED_RELEASE_TIMEOUT: variable(durationMs, '5m', 'a connection without tunnels is kept for so long'),
  KEEPALIVE_ENABLED: variable(boolean, 'true', 'TCP keep-alive', { notYet: [] }),
  KEEPALIVE_TIME: variable(durationMs, '180s', 'silence before the first probe', { notYet: true }),
  KEEPALIVE_INTERVAL: variable(durationMs, '180s', 'from one probe to the next', { notYet: true }),
  KEEPALIVE_RETRIES: variable(integer(1, 127), '9', 'probes without an answer before a connection is given up', {
    notYet: true,
  }),
  USER_TIMEOUT_ENABLED: variable(boolean, 'false', 'bytes without acknowledgement end a connection as probes do', {
    notYet: true,
  }),
};

const SECURITY = {
  ENABLE_RESPONSE_BAGGAGE: variable(boolean, 'true', 'peers tell one another who they are, for metrics'),
  CRL_PATH: optional(path, 'a file with revoked certificates', { notYet: true }),
  TLS12_ENABLED: variable(boolean, 'false', 'TLS 1.2 besides 1.3', { notYet: true }),
  COMPLIANCE_POLICY: optional(text, 'which algorithms may be used', { notYet: true }),
  AMBIT_UNKNOWN_POLICY: variable(
    choice('deny', 'skip'),
    'deny',
    'a policy that a workload names and that does not come is waited for and denies; skip is what Istio does',
  ),
  AMBIT_UNREADABLE_POLICY: variable(
    choice('reject', 'skip'),
    'reject',
    'a policy with a value that cannot be read is refused; skip drops the value, which is what Istio does',
  ),
};

export const VARIABLES = { ...PROCESS, ...CONTROL_PLANE, ...PODS, ...CONNECTIONS, ...SECURITY };

export type VariableName = keyof typeof VARIABLES;

/** What each variable says. */
export type Values = {
  readonly [Name in VariableName]: (typeof VARIABLES)[Name] extends Variable<infer Value> ? Value : never;
};

export const SECTIONS: readonly (readonly [string, readonly VariableName[]])[] = [
  ['Process', Object.keys(PROCESS) as VariableName[]],
  ['Control plane and certificates', Object.keys(CONTROL_PLANE) as VariableName[]],
  ['Pods', Object.keys(PODS) as VariableName[]],
  ['Connections', Object.keys(CONNECTIONS) as VariableName[]],
  ['Security', Object.keys(SECURITY) as VariableName[]],
];

/** Variables of which the rest of the name is data. */
export const PREFIXES = {
  ISTIO_META_: 'metadata for the control plane; DNS_CAPTURE=false switches the DNS proxy off, DNS_PROXY_ADDR moves it',
  ISTIO_METAJSON_: 'metadata for the control plane, as JSON',
  XDS_HEADER_: 'a header of every call to XDS_ADDRESS',
  CA_HEADER_: 'a header of every call to CA_ADDRESS',
} as const;

/** Set by Istio's chart, and without effect here as there. */
export const WITHOUT_EFFECT: readonly string[] = ['INPOD_ENABLED', 'RUST_BACKTRACE'];

export const PORTS = {
  admin: { port: 15_000, where: 'loopback', about: 'admin; proxyAdminPort of PROXY_CONFIG' },
  outbound: { port: 15_001, where: 'pod', about: 'connections that leave the pod' },
  inboundPlaintext: { port: 15_006, where: 'pod', about: 'connections that come to the pod in plaintext' },
  hbone: { port: 15_008, where: 'pod', about: 'HBONE' },
  stats: { port: 15_020, where: 'proxy', about: 'metrics; statsPort of PROXY_CONFIG' },
  readiness: { port: 15_021, where: 'proxy', about: 'readiness' },
  dns: { port: 15_053, where: "pod's loopback", about: 'DNS; DNS_PROXY_ADDR' },
  socks5: { port: 15_080, where: "pod's loopback", about: 'SOCKS5; UNSTABLE_ENABLE_SOCKS5' },
} as const;
