import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { inspect } from 'node:util';
import type { AmbitError } from '@ambit/base/errors';
import { VARIABLES } from './config/variables.ts';
import { type Config, readConfig } from './config.ts';

type Env = Readonly<Record<string, string>>;

const read = (env: Env = {}, files: Readonly<Record<string, string>> = {}, cpuCount = 4): Config =>
  readConfig({ env, readFile: (path) => files[path] ?? null, cpuCount });

function faultsOf(env: Env, files: Readonly<Record<string, string>> = {}): string[] {
  try {
    read(env, files);
  } catch (error) {
    assert.equal((error as AmbitError).code, 'CONFIG_INVALID');
    return (error as AmbitError).message.split('\n');
  }
  return [];
}

test('without any variable it is the proxy of a node beside a control plane on this machine', () => {
  assert.deepEqual(read(), {
    mode: 'shared',
    workload: null,
    ownPod: null,
    network: '',
    nodeName: null,
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    workers: 2,
    drainDeadlineMs: 5000,
    log: { format: 'plain', filter: 'info', decisionsAtInfo: false },
    xds: { address: 'https://localhost:15012', roots: null, alternativeHostname: null, headers: {} },
    localMesh: null,
    ca: { address: 'https://localhost:15012', roots: null, alternativeHostname: null, headers: {} },
    authToken: null,
    certificateTtlMs: 86_400_000,
    node: { instanceIp: '1.1.1.1', podName: '', podNamespace: '' },
    metadata: {},
    agentSocket: '/var/run/ztunnel/ztunnel.sock',
    packetMark: 1337,
    sourceAddress: 'kept if possible',
    ipv6Enabled: true,
    localhostApplicationTunnel: true,
    isSocks5Enabled: false,
    dns: {
      listen: [
        { ip: '127.0.0.1', port: 15_053 },
        { ip: '::1', port: 15_053 },
      ],
      preferredNamespace: null,
    },
    adminPort: 15_000,
    statsPort: 15_020,
    ownPorts: [15_001, 15_006, 15_008],
    streamWindowBytes: 4_194_304,
    connectionWindowBytes: 16_777_216,
    frameSizeBytes: 1_048_576,
    poolStreamsMax: 100,
    poolIdleReleaseMs: 300_000,
    sendsResponseBaggage: true,
    unknownPolicy: 'deny',
    unreadablePolicy: 'reject',
    warnings: [],
  });
});

test('every default is in the form of its variable', () => {
  for (const [name, { kind, default: initial }] of Object.entries(VARIABLES)) {
    if (initial !== null) assert.notEqual(kind.parse(initial), undefined, name);
  }
});

test('a configuration cannot be changed', () => {
  const { ownPorts, dns } = read();
  assert.throws(() => (ownPorts as number[]).push(1), TypeError);
  assert.throws(() => Object.assign(dns!.listen[0]!, { port: 1 }), TypeError);
});

describe('a variable is read', () => {
  const cases: [Env, Partial<Config>][] = [
    [
      { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/web/sa' },
      { mode: 'dedicated', packetMark: null, workload: { namespace: 'ns', name: 'web', serviceAccount: 'sa' } },
    ],
    [
      { POD_NAME: 'z', POD_NAMESPACE: 'istio-system', SERVICE_ACCOUNT: 'ztunnel' },
      {
        ownPod: { name: 'z', namespace: 'istio-system', serviceAccount: 'ztunnel', trustDomain: 'cluster.local' },
        node: { instanceIp: '1.1.1.1', podName: 'z', podNamespace: 'istio-system' },
      },
    ],
    [{ POD_NAME: 'z', POD_NAMESPACE: 'istio-system' }, { ownPod: null }],
    [
      { NODE_NAME: '', NETWORK: 'net' },
      { nodeName: null, network: 'net' },
    ],
    [
      { CLUSTER_ID: 'a', ISTIO_META_CLUSTER_ID: 'b' },
      { clusterId: 'b', metadata: { CLUSTER_ID: 'b' } },
    ],
    [{ CONNECTION_TERMINATION_DEADLINE: '1m30s', TERMINATION_GRACE_PERIOD_SECONDS: '30' }, { drainDeadlineMs: 90_000 }],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '30' }, { drainDeadlineMs: 25_000 }],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '10' }, { drainDeadlineMs: 9000 }],
    [{ TERMINATION_GRACE_PERIOD_SECONDS: '0' }, { drainDeadlineMs: 1000 }],
    [{ SECRET_TTL: '90' }, { certificateTtlMs: 90_000 }],
    [{ POOL_UNUSED_RELEASE_TIMEOUT: '500ms' }, { poolIdleReleaseMs: 500 }],
    [{ FAKE_CA: 'true', CA_ADDRESS: '' }, { ca: null }],
    [{ ENABLE_ORIG_SRC: 'true' }, { sourceAddress: 'kept' }],
    [{ ENABLE_ORIG_SRC: 'false' }, { sourceAddress: 'own' }],
    [{ PACKET_MARK: '7' }, { packetMark: 7 }],
    [{ UNSTABLE_ENABLE_SOCKS5: 'true' }, { isSocks5Enabled: true, ownPorts: [15_001, 15_006, 15_008, 15_080] }],
    [
      { IPV6_ENABLED: 'false' },
      { ipv6Enabled: false, dns: { listen: [{ ip: '127.0.0.1', port: 15_053 }], preferredNamespace: null } },
    ],
    [
      { ISTIO_META_DNS_CAPTURE: 'TRUE', PREFERED_SERVICE_NAMESPACE: 'p', ISTIO_META_DNS_PROXY_ADDR: '10.0.0.1:53' },
      { dns: { listen: [{ ip: '10.0.0.1', port: 53 }], preferredNamespace: 'p' } },
    ],
    [{ ISTIO_META_DNS_CAPTURE: 'no' }, { dns: null }],
    [
      { RUST_LOG: 'info,access=debug', LOG_FORMAT: 'json', AUTHZ_POLICY_INFO_LOGGING: 'true' },
      { log: { format: 'json', filter: 'info,access=debug', decisionsAtInfo: true } },
    ],
    [
      { AMBIT_UNKNOWN_POLICY: 'skip', AMBIT_UNREADABLE_POLICY: 'skip' },
      { unknownPolicy: 'skip', unreadablePolicy: 'skip' },
    ],
    [{ ISTIO_METAJSON_LABELS: '{"a":[1]}' }, { metadata: { LABELS: { a: [1] } } }],
    [{ ISTIO_METAJSON_LABELS: '{' }, { metadata: {}, warnings: ['ISTIO_METAJSON_LABELS: is not JSON and not used'] }],
    [{ INPOD_ENABLED: 'true', RUST_BACKTRACE: '1' }, { warnings: [] }],
  ];
  for (const [env, expected] of cases) {
    test(inspect(env, { breakLength: Number.POSITIVE_INFINITY }), () => {
      const config = read(env);
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(config[key as keyof Config], value, key);
    });
  }
});

describe('the mesh comes from', () => {
  const xdsOf = (env: Env, files = {}) => read(env, files).xds?.address ?? null;
  test('istiod of the cluster, and what is said counts more', () => {
    assert.equal(xdsOf({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }), 'https://istiod.istio-system.svc:15012');
    assert.equal(xdsOf({ PROXY_CONFIG: 'discoveryAddress: a:1' }), 'https://a:1');
    assert.equal(xdsOf({ PROXY_CONFIG: 'discoveryAddress: a:1', XDS_ADDRESS: 'https://b:2' }), 'https://b:2');
  });
  test('a file or a text, and then from nowhere else', () => {
    assert.deepEqual(read({ LOCAL_XDS_PATH: '/m.yaml' }).localMesh, { is: 'file', path: '/m.yaml' });
    assert.deepEqual(read({ LOCAL_XDS: '{}', XDS_ADDRESS: '' }).localMesh, { is: 'inline', text: '{}' });
    assert.equal(xdsOf({ LOCAL_XDS: '{}' }), null);
  });
});

test('PROXY_CONFIG counts more than the file of the mesh, and variables more than both', () => {
  const mesh =
    'accessLogFile: x\ndefaultConfig:\n  statsPort: 1\n  proxyAdminPort: 2\n  proxyMetadata: {ISTIO_META_A: m, B: m, C: m}\n';
  const env = {
    PROXY_CONFIG: '{"statsPort": 3, "concurrency": 5, "proxyMetadata": {"B": "p", "C": "p"}}',
    ISTIO_META_C: 'e',
  };
  const { statsPort, adminPort, metadata, workers, warnings } = read(env, { './etc/istio/config/mesh': mesh });
  assert.deepEqual([statsPort, adminPort, workers], [3, 2, 5]);
  assert.deepEqual(metadata, { A: 'm', B: 'p', C: 'e' });
  assert.deepEqual(warnings, []);
  assert.deepEqual(read({ PROXY_CONFIG: '{tracing: {}, statPort: 1}' }).warnings, [
    'PROXY_CONFIG: tracing is not used',
    'PROXY_CONFIG: statPort is not used; did you mean statsPort?',
  ]);
});

describe('data processes', () => {
  const cases: [string, Env, number, number][] = [
    ['a quarter of the CPUs', {}, 16, 4],
    ['rounded up', {}, 17, 5],
    ['at least two', {}, 1, 2],
    ['at least the request', { ZTUNNEL_RESOURCE_CPU_REQUEST: '6' }, 8, 6],
    ['the limit', { ZTUNNEL_RESOURCE_CPU_LIMIT: '1' }, 64, 1],
    ['the limit, rounded up', { ZTUNNEL_RESOURCE_CPU_LIMIT: '1500m' }, 64, 2],
    ['a quarter of the CPUs that Kubernetes tells', { ZTUNNEL_CPU_LIMIT: '40' }, 64, 10],
    ['as many as said', { ZTUNNEL_WORKER_THREADS: '7', ZTUNNEL_RESOURCE_CPU_LIMIT: '1' }, 4, 7],
    ['a share', { ZTUNNEL_WORKER_THREADS: '50%' }, 5, 3],
    ['a share of the limit', { ZTUNNEL_WORKER_THREADS: '50%', ZTUNNEL_RESOURCE_CPU_LIMIT: '8' }, 64, 4],
    ['a small share is one', { ZTUNNEL_WORKER_THREADS: '0.1%' }, 5, 1],
    ['all', { ZTUNNEL_WORKER_THREADS: '0' }, 5, 5],
    ['concurrency', { PROXY_CONFIG: 'concurrency: 3' }, 64, 3],
    ['concurrency 0 for all', { PROXY_CONFIG: 'concurrency: 0' }, 64, 64],
  ];
  for (const [name, env, cpuCount, expected] of cases) {
    test(name, () => assert.equal(read(env, {}, cpuCount).workers, expected));
  }
});

describe('what is wrong is said by name and with the form', () => {
  const cases: [Env, string | RegExp][] = [
    [{ PROXY_MODE: 'both' }, 'PROXY_MODE=both: must be one of shared, dedicated'],
    [{ PROXY_MODE: 'dedicated' }, 'PROXY_WORKLOAD_INFO: must be set with PROXY_MODE=dedicated'],
    [{ PROXY_WORKLOAD_INFO: 'a/b' }, 'PROXY_WORKLOAD_INFO=a/b: must be namespace/name/service-account'],
    [{ IPV6_ENABLED: 'yes' }, 'IPV6_ENABLED=yes: must be true or false'],
    [{ IPV6_ENABLED: '' }, 'IPV6_ENABLED=: must be true or false'],
    [{ SECRET_TTL: '1 day' }, /^SECRET_TTL=1 day: must be a duration such as/],
    [{ SECRET_TTL: '-5m' }, /^SECRET_TTL=-5m: must be a duration/],
    [{ HTTP2_FRAME_SIZE: '1' }, 'HTTP2_FRAME_SIZE=1: must be a whole number from 16384 to 16777215'],
    [{ PACKET_MARK: '0x539' }, /^PACKET_MARK=0x539: must be a whole number/],
    [{ ZTUNNEL_WORKER_THREADS: '101%' }, /^ZTUNNEL_WORKER_THREADS=101%: must be a number/],
    [{ ZTUNNEL_RESOURCE_CPU_LIMIT: '0' }, /^ZTUNNEL_RESOURCE_CPU_LIMIT=0: must be a CPU quantity/],
    [{ XDS_ADDRESS: 'http://a' }, /^XDS_ADDRESS=http:\/\/a: must be an address such as https/],
    [{ XDS_ADDRESS: '' }, /^XDS_ADDRESS: must not be empty without LOCAL_XDS_PATH or LOCAL_XDS/],
    [{ XDS_ADDRESS: 'a:1', LOCAL_XDS: '{}' }, 'XDS_ADDRESS: must not be set together with a local mesh'],
    [{ LOCAL_XDS: '{}', LOCAL_XDS_PATH: 'x' }, 'LOCAL_XDS: must not be set together with LOCAL_XDS_PATH'],
    [{ CA_ADDRESS: '' }, 'CA_ADDRESS: must not be empty without FAKE_CA=true'],
    [{ RUST_LOG: 'loud' }, /^RUST_LOG=loud: must be levels such as/],
    [{ 'XDS_HEADER_a b': 'x' }, 'XDS_HEADER_a b: is no name of a header'],
    [{ CA_HEADER_a: 'x\n' }, 'CA_HEADER_a: must be printable ASCII'],
    [{ ISTIO_META_DNS_PROXY_ADDR: 'here' }, /^ISTIO_META_DNS_PROXY_ADDR=here: must be localhost:port/],
    [{ PROXY_CONFIG: '[' }, /^PROXY_CONFIG: is not YAML: /],
    [{ PROXY_CONFIG: '[]' }, 'PROXY_CONFIG: must be a mapping'],
    [{ PROXY_CONFIG: 'statsPort: 70000' }, 'PROXY_CONFIG: statsPort must be a whole number from 1 to 65535'],
    [{ PROXY_CONFIG: 'discoveryAddress: "http://a"' }, /^PROXY_CONFIG: discoveryAddress must be an address/],
    [{ PROXY_CONFIG: 'discoveryAddress: 5' }, 'PROXY_CONFIG: discoveryAddress must be text'],
    [{ PROXY_CONFIG: 'proxyMetadata: {A: 5}' }, /^PROXY_CONFIG: proxyMetadata.A must be text/],
  ];
  for (const [env, expected] of cases) {
    test(inspect(env, { breakLength: Number.POSITIVE_INFINITY }), () => {
      const faults = faultsOf(env);
      assert.equal(faults.length, 1, faults.join('\n'));
      if (typeof expected === 'string') assert.equal(faults[0], expected);
      else assert.match(faults[0]!, expected);
    });
  }
  test('all of it at once', () => {
    assert.equal(faultsOf({ PROXY_MODE: 'x', IPV6_ENABLED: 'x', CA_ADDRESS: '' }).length, 3);
  });
});

describe('a feature that is not built', () => {
  const notYet = Object.entries(VARIABLES).filter(([, { notYet: flag }]) => flag !== null);
  const OTHER: Readonly<Record<string, string>> = {
    ENABLE_PROXY: 'false',
    XDS_ON_DEMAND: 'true',
    INPOD_PORT_REUSE: 'false',
    KEEPALIVE_TIME: '1s',
    KEEPALIVE_INTERVAL: '1s',
    KEEPALIVE_RETRIES: '1',
    USER_TIMEOUT_ENABLED: 'true',
    CRL_PATH: '/crl.pem',
    TLS12_ENABLED: 'true',
    COMPLIANCE_POLICY: 'pqc',
  };
  for (const [name, { default: initial, notYet: flag }] of notYet) {
    test(`${name} may be what it is anyway`, () => {
      if (initial !== null) assert.deepEqual(faultsOf({ [name]: initial }), []);
    });
    if (flag?.refused?.length === 0) continue;
    test(`${name} is refused when it would be needed`, () => {
      assert.deepEqual(faultsOf({ [name]: OTHER[name]! }), [`${name}=${OTHER[name]}: is not built yet; do not set it`]);
    });
  }
  test('keep-alive may be off', () => assert.deepEqual(faultsOf({ KEEPALIVE_ENABLED: 'false' }), []));
});

test('what is secret does not show', () => {
  const config = read({ AUTH_TOKEN: 'geheim', XDS_HEADER_Authorization: 'geheim', CA_HEADER_X: 'geheim' });
  assert.doesNotMatch(`${JSON.stringify(config)} ${inspect(config, { depth: 9 })} ${config.authToken}`, /geheim/);
  assert.equal(config.authToken?.reveal(), 'geheim');
  assert.equal(config.xds?.headers.authorization?.reveal(), 'geheim');
});
