/**
 * Environment to one frozen value. Everything that is wrong is said at once, by the name of the variable and the form it
 * must have; what cannot be obeyed is refused, never ignored.
 */
import { AmbitError } from '@ambit/base/errors';
import type { UnknownPolicyRule } from '@ambit/model/authorize';
import type { UnreadableRule } from '@ambit/model/decode-policy';
import { type IpPort, parseIpPort, parsePort } from '@ambit/wire/ip';
import type { Json } from '@ambit/xds/node';
import { controlPlane } from './config/kinds.ts';
import {
  type Findings,
  mergeProxyConfigs,
  type ProxyConfig,
  readMeshFile,
  readProxyConfig,
} from './config/proxy-config.ts';
import { Secret } from './config/secret.ts';
import { PORTS, VARIABLES, type Values } from './config/variables.ts';
import { workerCount } from './config/worker-count.ts';
import type { LocalSourceOptions } from './local-source.ts';
import type { WorkloadInfo } from './state/workload-store.ts';

/** Where a control plane is and how to come there. Roots and token may be paths: @ambit/identity tells them apart. */
export interface ControlPlaneConfig {
  readonly address: string;
  readonly roots: string | null;
  readonly alternativeHostname: string | null;
  readonly headers: Readonly<Record<string, Secret>>;
}

export interface Config {
  readonly mode: 'shared' | 'dedicated';
  /** Of dedicated mode; null in shared mode. */
  readonly workload: WorkloadInfo | null;
  /** The proxy's own pod, when the mesh is to know it. */
  readonly ownPod: (WorkloadInfo & { readonly trustDomain: string }) | null;
  readonly network: string;
  readonly nodeName: string | null;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly workers: number;
  readonly drainDeadlineMs: number;
  readonly log: { readonly format: 'plain' | 'json'; readonly filter: string; readonly decisionsAtInfo: boolean };

  /** Null with a local mesh. */
  readonly xds: ControlPlaneConfig | null;
  readonly localMesh: LocalSourceOptions | null;
  /** Null with FAKE_CA. */
  readonly ca: ControlPlaneConfig | null;
  readonly authToken: Secret | null;
  readonly certificateTtlMs: number;
  /** How the proxy introduces itself to the control plane. */
  readonly node: { readonly instanceIp: string; readonly podName: string; readonly podNamespace: string };
  readonly metadata: Readonly<Record<string, Json>>;

  readonly agentSocket: string;
  readonly packetMark: number | null;
  readonly sourceAddress: 'kept if possible' | 'kept' | 'own';
  readonly ipv6Enabled: boolean;
  readonly localhostApplicationTunnel: boolean;
  readonly isSocks5Enabled: boolean;
  /** Null when the DNS proxy is switched off. */
  readonly dns: { readonly listen: readonly IpPort[]; readonly preferredNamespace: string | null } | null;
  readonly adminPort: number;
  readonly statsPort: number;
  /** Nobody may be sent there by the proxy. */
  readonly ownPorts: readonly number[];

  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly frameSizeBytes: number;
  readonly poolStreamsMax: number;
  readonly poolIdleReleaseMs: number;
  readonly sendsResponseBaggage: boolean;
  readonly unknownPolicy: UnknownPolicyRule;
  readonly unreadablePolicy: UnreadableRule;

  /** To be logged at the start. */
  readonly warnings: readonly string[];
}

/** What a configuration is made from. */
export interface ConfigWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Null when it does not exist. */
  readFile(path: string): string | null;
  readonly cpuCount: number;
}

const MESH_FILE = './etc/istio/config/mesh';
const SHARED_MARK = 1337;
const DRAIN_DEFAULT_MS = 5000;

/** Throws CONFIG_INVALID with one line for each fault. */
export function readConfig(world: ConfigWorld): Config {
  const findings: Findings = { faults: [], warnings: [] };
  const values = readValues(world.env, findings);
  const proxyConfig = readProxyConfigs(world, values, findings);
  const metadata = readMetadata(world.env, proxyConfig, findings);
  const config = compose(world, values, proxyConfig, metadata, findings);
  if (findings.faults.length > 0) {
    throw new AmbitError('CONFIG_INVALID', findings.faults.join('\n'), {
      side: 'internal',
      retry: 'never',
      hint: 'Every variable with its form is in --help.',
    });
  }
  return deepFreeze(config);
}

/** A variable that is set to nothing counts as set only where nothing is a value. */
function readValues(env: ConfigWorld['env'], { faults }: Findings): Values {
  const entries = Object.entries(VARIABLES).map(([name, { kind, default: initial, notYet }]) => {
    const given = env[name];
    const isMissing = given === undefined || (given === '' && initial === null && kind.parse('') !== null);
    const text = isMissing ? initial : given;
    if (text === null) return [name, null];
    const value = kind.parse(text);
    if (value === undefined) {
      faults.push(`${name}=${text}: must be ${kind.form}`);
      return [name, initial === null ? null : kind.parse(initial)];
    }
    const isRefused = notYet?.refused == null ? text !== initial : notYet.refused.includes(text);
    if (notYet !== null && isRefused) faults.push(`${name}=${text}: is not built yet; do not set it`);
    return [name, value];
  });
  return Object.fromEntries(entries) as Values;
}

function readProxyConfigs(world: ConfigWorld, { PROXY_CONFIG }: Values, findings: Findings): ProxyConfig {
  const mesh = world.readFile(MESH_FILE);
  return mergeProxyConfigs(
    mesh === null ? {} : readMeshFile(mesh, MESH_FILE, findings),
    PROXY_CONFIG === null ? {} : readProxyConfig(PROXY_CONFIG, 'PROXY_CONFIG', findings),
  );
}

/** Text from PROXY_CONFIG, then from ISTIO_META_*, then JSON; the last one counts. */
function readMetadata(env: ConfigWorld['env'], { proxyMetadata }: ProxyConfig, { warnings }: Findings) {
  const texts: Record<string, string> = { ...proxyMetadata };
  for (const [key, value] of withPrefix(env, 'ISTIO_META_')) texts[key] = value;
  const all: Record<string, Json> = { ...texts };
  for (const [key, value] of withPrefix(env, 'ISTIO_METAJSON_')) {
    try {
      all[key] = JSON.parse(value) as Json;
    } catch {
      warnings.push(`ISTIO_METAJSON_${key}: is not JSON and not used`);
    }
  }
  return { texts, all };
}

type Metadata = ReturnType<typeof readMetadata>;

function compose(
  world: ConfigWorld,
  values: Values,
  proxyConfig: ProxyConfig,
  metadata: Metadata,
  findings: Findings,
): Config {
  const isShared = values.PROXY_MODE === 'shared';
  const localMesh = localMeshOf(values, findings);
  return {
    mode: values.PROXY_MODE,
    workload: isShared ? null : values.PROXY_WORKLOAD_INFO,
    ownPod: isShared ? ownPodOf(values) : null,
    network: values.NETWORK,
    nodeName: values.NODE_NAME,
    clusterId: world.env.ISTIO_META_CLUSTER_ID ?? values.CLUSTER_ID,
    clusterDomain: values.CLUSTER_DOMAIN,
    workers: workerCount(values, proxyConfig.concurrency, world.cpuCount),
    drainDeadlineMs: drainDeadlineMs(values),
    log: { format: values.LOG_FORMAT, filter: values.RUST_LOG, decisionsAtInfo: values.AUTHZ_POLICY_INFO_LOGGING },

    xds: xdsOf(world, values, proxyConfig, localMesh !== null, findings),
    localMesh,
    ca: caOf(world, values, findings),
    authToken: values.AUTH_TOKEN,
    certificateTtlMs: values.SECRET_TTL,
    node: {
      instanceIp: values.INSTANCE_IP,
      podName: values.POD_NAME ?? '',
      podNamespace: values.POD_NAMESPACE ?? '',
    },
    metadata: metadata.all,

    agentSocket: values.INPOD_UDS,
    packetMark: values.PACKET_MARK ?? (isShared ? SHARED_MARK : null),
    sourceAddress: values.ENABLE_ORIG_SRC === null ? 'kept if possible' : values.ENABLE_ORIG_SRC ? 'kept' : 'own',
    ipv6Enabled: values.IPV6_ENABLED,
    localhostApplicationTunnel: values.LOCALHOST_APP_TUNNEL,
    isSocks5Enabled: values.UNSTABLE_ENABLE_SOCKS5,
    dns: dnsOf(values, metadata, findings),
    adminPort: proxyConfig.proxyAdminPort ?? PORTS.admin.port,
    statsPort: proxyConfig.statsPort ?? PORTS.stats.port,
    ownPorts: [
      PORTS.outbound.port,
      PORTS.inboundPlaintext.port,
      PORTS.hbone.port,
      ...(values.UNSTABLE_ENABLE_SOCKS5 ? [PORTS.socks5.port] : []),
    ],

    streamWindowBytes: values.HTTP2_STREAM_WINDOW_SIZE,
    connectionWindowBytes: values.HTTP2_CONNECTION_WINDOW_SIZE,
    frameSizeBytes: values.HTTP2_FRAME_SIZE,
    poolStreamsMax: values.POOL_MAX_STREAMS_PER_CONNECTION,
    poolIdleReleaseMs: values.POOL_UNUSED_RELEASE_TIMEOUT,
    sendsResponseBaggage: values.ENABLE_RESPONSE_BAGGAGE,
    unknownPolicy: values.AMBIT_UNKNOWN_POLICY,
    unreadablePolicy: values.AMBIT_UNREADABLE_POLICY,
    warnings: findings.warnings,
  };
}

function localMeshOf(values: Values, { faults }: Findings): LocalSourceOptions | null {
  const { LOCAL_XDS_PATH: path, LOCAL_XDS: text } = values;
  if (values.PROXY_MODE === 'dedicated' && values.PROXY_WORKLOAD_INFO === null) {
    faults.push('PROXY_WORKLOAD_INFO: must be set with PROXY_MODE=dedicated');
  }
  if (path !== null && text !== null) faults.push('LOCAL_XDS: must not be set together with LOCAL_XDS_PATH');
  if (path !== null) return { is: 'file', path };
  return text === null ? null : { is: 'inline', text };
}

/** With a local mesh there is no other, and without either nothing could be served. */
function xdsOf(
  world: ConfigWorld,
  values: Values,
  { discoveryAddress }: ProxyConfig,
  hasLocalMesh: boolean,
  { faults }: Findings,
): ControlPlaneConfig | null {
  const isOff = world.env.XDS_ADDRESS === '';
  if (hasLocalMesh) {
    if (values.XDS_ADDRESS !== null) faults.push('XDS_ADDRESS: must not be set together with a local mesh');
    return null;
  }
  const discovered = discoveryAddress === undefined ? null : controlPlane.parse(discoveryAddress);
  if (discovered === undefined) faults.push(`PROXY_CONFIG: discoveryAddress must be ${controlPlane.form}`);
  const address = isOff ? null : (values.XDS_ADDRESS ?? discovered ?? defaultAddress(world));
  if (address === null) {
    faults.push('XDS_ADDRESS: must not be empty without LOCAL_XDS_PATH or LOCAL_XDS: there would be no mesh');
    return null;
  }
  return {
    address,
    roots: values.XDS_ROOT_CA,
    alternativeHostname: values.ALT_XDS_HOSTNAME,
    headers: readHeaders(world.env, 'XDS_HEADER_', faults),
  };
}

function caOf(world: ConfigWorld, values: Values, { faults }: Findings): ControlPlaneConfig | null {
  if (values.FAKE_CA) return null;
  if (world.env.CA_ADDRESS === '') faults.push('CA_ADDRESS: must not be empty without FAKE_CA=true');
  return {
    address: values.CA_ADDRESS ?? defaultAddress(world),
    roots: values.CA_ROOT_CA,
    alternativeHostname: values.ALT_CA_HOSTNAME,
    headers: readHeaders(world.env, 'CA_HEADER_', faults),
  };
}

function defaultAddress({ env }: ConfigWorld): string {
  const isInCluster = env.KUBERNETES_SERVICE_HOST !== undefined;
  return isInCluster ? 'https://istiod.istio-system.svc:15012' : 'https://localhost:15012';
}

function readHeaders(env: ConfigWorld['env'], prefix: string, faults: string[]): Record<string, Secret> {
  const headers: Record<string, Secret> = {};
  for (const [key, value] of withPrefix(env, prefix)) {
    const name = key.toLowerCase();
    if (!/^[0-9a-z_.-]+$/.test(name) || name.endsWith('-bin')) faults.push(`${prefix}${key}: is no name of a header`);
    else if (!/^[\x20-\x7e]*$/.test(value)) faults.push(`${prefix}${key}: must be printable ASCII`);
    else headers[name] = new Secret(value);
  }
  return headers;
}

function* withPrefix(env: ConfigWorld['env'], prefix: string): Generator<[string, string]> {
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && name.startsWith(prefix)) yield [name.slice(prefix.length), value];
  }
}

function ownPodOf(values: Values): Config['ownPod'] {
  const { POD_NAME: name, POD_NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount } = values;
  if (name === null || namespace === null || serviceAccount === null) return null;
  return { name, namespace, serviceAccount, trustDomain: values.TRUST_DOMAIN };
}

/** Before Kubernetes kills: as Istio's ztunnel reckons it. */
function drainDeadlineMs(values: Values): number {
  if (values.CONNECTION_TERMINATION_DEADLINE !== null) return values.CONNECTION_TERMINATION_DEADLINE;
  const seconds = values.TERMINATION_GRACE_PERIOD_SECONDS;
  if (seconds === null) return DRAIN_DEFAULT_MS;
  return Math.max(seconds > 10 ? seconds - 5 : seconds - 1, 1) * 1000;
}

function dnsOf(values: Values, { texts }: Metadata, { faults }: Findings): Config['dns'] {
  const { DNS_CAPTURE: capture, DNS_PROXY_ADDR: address = `localhost:${PORTS.dns.port}` } = texts;
  if (capture !== undefined && capture.toLowerCase() !== 'true') return null;
  const port = address.startsWith('localhost:') ? parsePort(address.slice('localhost:'.length)) : null;
  const single = parseIpPort(address);
  if (port === null && single === null) {
    faults.push(`ISTIO_META_DNS_PROXY_ADDR=${address}: must be localhost:port or address:port`);
  }
  const loopback = values.IPV6_ENABLED ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
  return {
    listen: port === null ? (single === null ? [] : [single]) : loopback.map((ip) => ({ ip, port })),
    preferredNamespace: values.PREFERED_SERVICE_NAMESPACE,
  };
}

/** Secrets have nothing to freeze. */
function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
