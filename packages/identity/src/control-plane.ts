/**
 * A gRPC connection to a control plane, for certificates and for xDS alike (ztunnel facts 1.5, 1.6, 5.1): TLS 1.3, the
 * server verified by its host name, this side by a bearer token. Made anew wherever roots may have changed.
 */
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, Client, credentials, Metadata } from '@grpc/grpc-js';
import { identityError } from './errors.ts';
import { HANDSHAKE_TIMEOUT_MS, KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, RECEIVE_WINDOW_MAX_BYTES } from './limits.ts';
import { type RootSource, readRoots } from './roots.ts';
import { readToken, type TokenSource } from './token.ts';

export interface ControlPlaneOptions {
  /** `https://host:port`. */
  readonly address: string;
  readonly roots: RootSource;
  /** Null: neither token nor cluster is sent. */
  readonly token: TokenSource | null;
  readonly clusterId: string;
  /** Sent with every call besides (CA_HEADER_*, XDS_HEADER_*). */
  readonly headers?: Readonly<Record<string, string>>;
  /** Accepted in the server's certificate where the address's own host name is not in it (ALT_CA_HOSTNAME). */
  readonly alternativeHostname?: string;
  /** As ztunnel's TLS12_ENABLED. */
  readonly allowTls12?: boolean;
  readonly receiveMaxBytes: number;
  readonly handshakeTimeoutMs?: number;
}

const TLS13_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256';
const TLS12_SUITES = ['ECDSA', 'RSA'].flatMap((key) => [
  `ECDHE-${key}-AES256-GCM-SHA384`,
  `ECDHE-${key}-AES128-GCM-SHA256`,
]);

/** Reads the roots; connects with the first call. Rejects with `CONTROL_PLANE_ADDRESS` or `ROOTS_UNREADABLE`. */
export async function openControlPlane(options: ControlPlaneOptions): Promise<Client> {
  const target = targetOf(options.address);
  const secureContext = createSecureContext({
    ca: await readRoots(options.roots),
    minVersion: options.allowTls12 === true ? 'TLSv1.2' : 'TLSv1.3',
    ciphers: [TLS13_SUITES, ...(options.allowTls12 === true ? TLS12_SUITES : [])].join(':'),
  });
  const { alternativeHostname } = options;
  const verify = (hostname: string, certificate: PeerCertificate): Error | undefined => {
    const error = checkServerIdentity(hostname, certificate);
    if (error === undefined || alternativeHostname === undefined) return error;
    return checkServerIdentity(alternativeHostname, certificate) === undefined ? undefined : error;
  };
  const channel = credentials.createFromSecureContext(secureContext, { checkServerIdentity: verify });
  limitHandshake(channel, options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
  return new Client(target, channel, channelOptions(options.receiveMaxBytes));
}

/** Headers of one call; the token is read now. */
export async function callMetadata(options: ControlPlaneOptions): Promise<Metadata> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  if (options.token === null) return metadata;
  metadata.set('authorization', `Bearer ${await readToken(options.token)}`);
  metadata.set('clusterid', options.clusterId);
  return metadata;
}

/**
 * gRPC for JavaScript waits for a TLS handshake without end, even after its client was closed: every attempt at a server
 * that accepts and says nothing would leave a socket behind. (A TCP connection that is not accepted the kernel gives up.)
 */
function limitHandshake(channel: ChannelCredentials, timeoutMs: number): void {
  const create = channel._createSecureConnector.bind(channel);
  channel._createSecureConnector = (...parameters) => {
    const connector = create(...parameters);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      socket.setTimeout(timeoutMs, () => socket.destroy());
      const connected = await connect(socket);
      socket.setTimeout(0);
      return connected;
    };
    return connector;
  };
}

function targetOf(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url?.protocol !== 'https:' || url.hostname === '' || (url.pathname !== '/' && url.pathname !== '')) {
    throw identityError('CONTROL_PLANE_ADDRESS', `${JSON.stringify(address)} is no address of a control plane`);
  }
  return `dns:///${url.hostname}:${url.port === '' ? 443 : url.port}`;
}

/**
 * ztunnel also sets TCP keep-alive; gRPC for JavaScript does not give its sockets away, and the PINGs find the same dead
 * peers sooner. No proxies from the environment, no configuration from DNS, no retries: we decide on those ourselves.
 */
function channelOptions(receiveMaxBytes: number): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_receive_message_length': receiveMaxBytes,
    'grpc-node.flow_control_window': Math.min(receiveMaxBytes, RECEIVE_WINDOW_MAX_BYTES),
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    // Otherwise a new channel would share the old one's connection, made with the old roots.
    'grpc.use_local_subchannel_pool': 1,
  };
}
