/**
 * The mesh as a file, in the shape that Istio's ztunnel reads (LOCAL_XDS_PATH): workloads, services, policies, all keys in
 * camel case. What is left out has the defaults of xDS, where ztunnel takes empty ones (a trust domain `` has no valid
 * identity); unknown keys are errors everywhere, where ztunnel ignores those of a policy's match.
 */
import type { DecodedAddress } from '@ambit/model/decode-address';
import { type IpAddress, parseCidr, parseIpAddress } from '@ambit/model/ip-address';
import { type Policy, policyKey } from '@ambit/model/policy';
import { type LoadBalancing, type NetworkCidr, type Service, serviceKey } from '@ambit/model/service';
import type {
  ApplicationTunnel,
  GatewayAddress,
  Locality,
  NetworkAddress,
  PortMap,
  Workload,
} from '@ambit/model/workload';
import { LIMITS } from '../limits.ts';
import { readPolicy } from './read-policy.ts';
import { parseYaml, type YamlFields, type YamlValue } from './yaml-value.ts';

export interface LocalMesh {
  readonly addresses: readonly DecodedAddress[];
  readonly policies: readonly Policy[];
}

const PROTOCOLS = { TCP: 'none', HBONE: 'hbone' } as const;
const IS_HOST_NETWORK = { Standard: false, HostNetwork: true } as const;
const IS_HEALTHY = { Healthy: true, Unhealthy: false } as const;
const WORKLOAD_TYPES = { deployment: 'deployment', cronjob: 'cronjob', pod: 'pod', job: 'job' } as const;
const TUNNEL_PROTOCOLS = { NONE: 'none', PROXY: 'proxy' } as const;
const IP_FAMILIES = { Dual: 'dual', IPv4: 'ipv4', IPv6: 'ipv6' } as const;
const VISIBILITIES = { Public: 'public', Namespace: 'namespace' } as const;
const MODES = { Standard: 'standard', Strict: 'strict', Failover: 'failover', Passthrough: 'passthrough' } as const;
const ALLOWS_UNHEALTHY = { OnlyHealthy: false, AllowAll: true } as const;
const SCOPES = {
  Region: 'region',
  Zone: 'zone',
  Subzone: 'subzone',
  Node: 'node',
  Cluster: 'cluster',
  Network: 'network',
} as const;

const NO_LOCALITY: Locality = { region: '', zone: '', subzone: '' };
const STANDARD: LoadBalancing = { routingPreference: [], mode: 'standard', allowsUnhealthy: false };
const PORT_MAX = 65_535;
const UINT32_MAX = 2 ** 32 - 1;

/** Throws LOCAL_FILE_INVALID, with the place of what is wrong. */
export function readLocalMesh(text: string, fileName: string): LocalMesh {
  return parseYaml(text, fileName, LIMITS.localFileNodesMax).fields((file) => {
    const names = new Set<string>();
    const workloads = file.optional('workloads', (list) => list.items().map((item) => readWorkload(item, names))) ?? [];
    const services = file.optional('services', (list) => list.items().map((item) => readService(item, names))) ?? [];
    const policyNames = new Set<string>();
    const readOne = (item: YamlValue): Policy => {
      const policy = readPolicy(item);
      claim(item, policyNames, policyKey(policy));
      return policy;
    };
    const policies = file.optional('policies', (list) => list.items().map(readOne)) ?? [];
    return {
      addresses: [
        ...workloads.map((workload) => ({ is: 'workload', workload }) as const),
        ...services.map((service) => ({ is: 'service', service }) as const),
      ],
      policies,
    };
  });
}

/** What is removed later is named by this alone. */
function claim(item: YamlValue, names: Set<string>, name: string): void {
  if (names.has(name)) item.fail(`has a name that is taken: ${name}`);
  names.add(name);
}

function readWorkload(item: YamlValue, names: Set<string>): Workload {
  return item.fields((fields) => {
    const text = (name: string, otherwise: string): string =>
      fields.optional(name, (value) => value.text()) ?? otherwise;
    const uid = fields.required('uid').text();
    claim(item, names, uid);
    return {
      uid,
      name: text('name', ''),
      namespace: fields.required('namespace').text(),
      addresses: fields.required('workloadIps').items().map(readIp),
      hostname: text('hostname', ''),
      network: text('network', ''),
      tunnelProtocol: fields.optional('protocol', (value) => value.oneOf(PROTOCOLS)) ?? 'none',
      trustDomain: text('trustDomain', '') || 'cluster.local',
      serviceAccount: text('serviceAccount', '') || 'default',
      waypoint: fields.optional('waypoint', readGateway) ?? null,
      networkGateway: fields.optional('networkGateway', readGateway) ?? null,
      node: text('node', ''),
      canonicalName: text('canonicalName', ''),
      canonicalRevision: text('canonicalRevision', ''),
      workloadType: fields.optional('workloadType', (value) => value.oneOf(WORKLOAD_TYPES)) ?? 'deployment',
      workloadName: text('workloadName', ''),
      nativeTunnel: fields.optional('nativeTunnel', (value) => value.boolean()) ?? false,
      applicationTunnel: fields.optional('applicationTunnel', readTunnel) ?? null,
      services: readMemberships(fields.required('services')),
      authorizationPolicies: fields.optional('authorizationPolicies', readTexts) ?? [],
      isHealthy: fields.optional('status', (value) => value.oneOf(IS_HEALTHY)) ?? true,
      clusterId: text('clusterId', '') || 'Kubernetes',
      locality: fields.optional('locality', readLocality) ?? NO_LOCALITY,
      isHostNetwork: fields.optional('networkMode', (value) => value.oneOf(IS_HOST_NETWORK)) ?? false,
      capacity: fields.optional('capacity', (value) => value.integer(0, UINT32_MAX)) ?? 1,
    };
  });
}

function readService(item: YamlValue, names: Set<string>): Service {
  return item.fields((fields) => {
    const service: Service = {
      name: fields.required('name').text(),
      namespace: fields.required('namespace').text(),
      hostname: fields.required('hostname').text(),
      vips: fields.required('vips').items().map(readNetworkAddress),
      cidrVips: fields.optional('cidrVips', (value) => value.items().map(readNetworkCidr)) ?? [],
      ports: readPorts(fields.required('ports')),
      subjectAltNames: fields.optional('subjectAltNames', readTexts) ?? [],
      waypoint: fields.optional('waypoint', readGateway) ?? null,
      weightedWaypoints: fields.optional('weightedWaypoints', readWeightedWaypoints) ?? [],
      loadBalancing: fields.optional('loadBalancer', readLoadBalancing) ?? STANDARD,
      ipFamilies: fields.optional('ipFamilies', (value) => value.oneOf(IP_FAMILIES)) ?? 'automatic',
      canonical: fields.optional('canonical', (value) => value.boolean()) ?? false,
      visibility: fields.optional('visibility', (value) => value.oneOf(VISIBILITIES)) ?? 'public',
    };
    refuseEndpoints(fields);
    claim(item, names, serviceKey(service));
    return service;
  });
}

/** Istio's ztunnel takes them, and would have two places that say who belongs to a service. */
function refuseEndpoints(fields: YamlFields): void {
  fields.optional('endpoints', (value) => {
    if (value.entries().length > 0) value.fail('is not read: name the service under `services` of its workloads');
  });
}

function readTexts(value: YamlValue): string[] {
  return value.items().map((item) => item.text());
}

function readIp(value: YamlValue): IpAddress {
  return parseIpAddress(value.text()) ?? value.fail('must be an IP address');
}

function readPort(value: YamlValue): number {
  return value.integer(0, PORT_MAX);
}

function readPorts(value: YamlValue): PortMap {
  return new Map(value.entries().map(([port, target]) => [readPort(port), readPort(target)]));
}

function readMemberships(value: YamlValue): Map<string, PortMap> {
  const memberships = new Map<string, PortMap>();
  for (const [key, ports] of value.entries()) {
    const name = key.text();
    if (!name.includes('/')) key.fail('must be named namespace/hostname');
    memberships.set(name, readPorts(ports));
  }
  return memberships;
}

function readTunnel(value: YamlValue): ApplicationTunnel {
  return value.fields((fields) => ({
    protocol: fields.required('protocol').oneOf(TUNNEL_PROTOCOLS),
    port: fields.optional('port', (port) => port.integer(1, PORT_MAX)) ?? null,
  }));
}

function readLocality(value: YamlValue): Locality {
  return value.fields((fields) => ({
    region: fields.required('region').text(),
    zone: fields.required('zone').text(),
    subzone: fields.required('subzone').text(),
  }));
}

function readLoadBalancing(value: YamlValue): LoadBalancing {
  return value.fields((fields) => ({
    routingPreference: fields
      .required('routingPreferences')
      .items()
      .map((item) => item.oneOf(SCOPES)),
    mode: fields.required('mode').oneOf(MODES),
    allowsUnhealthy: fields.required('healthPolicy').oneOf(ALLOWS_UNHEALTHY),
  }));
}

function readWeightedWaypoints(value: YamlValue): Service['weightedWaypoints'] {
  return value.items().map((item) =>
    item.fields((fields) => ({
      destination: readGateway(fields.required('destination')),
      weight: fields.required('weight').integer(0, UINT32_MAX),
    })),
  );
}

/** `network/address`, or else `namespace/hostname`. */
function readGateway(value: YamlValue): GatewayAddress {
  return value.fields((fields) => {
    const destination = fields.required('destination');
    const hbonePort = readPort(fields.required('hboneMtlsPort'));
    const [before, after] = splitName(destination, 'network/address or namespace/hostname');
    const ip = parseIpAddress(after);
    if (ip !== null) return { destination: { is: 'address', network: before, ip }, hbonePort };
    return { destination: { is: 'hostname', namespace: before, hostname: after }, hbonePort };
  });
}

function readNetworkAddress(value: YamlValue): NetworkAddress {
  const [network, address] = splitName(value, 'network/address');
  const ip = parseIpAddress(address) ?? value.fail('must be network/address (/10.0.0.1 on the network without a name)');
  return { network, ip };
}

function readNetworkCidr(value: YamlValue): NetworkCidr {
  return value.fields((fields) => {
    const cidr = fields.required('cidr');
    const network = fields.required('network').text();
    return { network, block: parseCidr(cidr.text()) ?? cidr.fail('must be an address block, such as 10.0.0.0/8') };
  });
}

function splitName(value: YamlValue, form: string): [string, string] {
  const text = value.text();
  const slash = text.indexOf('/');
  if (slash < 0) value.fail(`must be ${form}`);
  return [text.slice(0, slash), text.slice(slash + 1)];
}
