/**
 * What the DNS proxy answers by itself, as Istio's ztunnel does (its src/dns/server.rs): services by name, with Kubernetes'
 * short forms, search domains and wildcards; addresses on the client's own network. Everything else is forwarded. A name
 * that is a service's and has no address of the asked family is answered empty, never as missing.
 */
import type { Rng } from '@ambit/base/rng';
import type { IpAddress } from './ip-address.ts';
import type { MeshIndex } from './mesh-index.ts';
import type { Service } from './service.ts';

/** What looking up names asks of the mesh's state: hostnames in lower case, which may begin with `*.`. */
export type NameIndex = Pick<MeshIndex, 'servicesByHostname' | 'endpoints'>;

export interface DnsClient {
  readonly namespace: string;
  readonly network: string;
  /** The resolver's list, as in resolv.conf; null takes what Kubernetes gives to a pod of the client's namespace. */
  readonly searchDomains: readonly string[] | null;
}

export interface DnsRules {
  /** `cluster.local` */
  readonly clusterDomain: string;
  /** Wins over other namespaces that are neither the client's nor canonical; null for none. */
  readonly preferredNamespace: string | null;
  readonly ipv6Enabled: boolean;
}

export interface DnsQuestion {
  /** A trailing dot makes no difference. */
  readonly name: string;
  /** `A`, `AAAA`; any other is forwarded. */
  readonly type: string;
}

export type DnsLookup =
  | {
      readonly is: 'answer';
      readonly service: Service;
      /** The name that carries the addresses, without a trailing dot. */
      readonly name: string;
      /** The question's name is an alias of `name`: a search domain was stripped from it. */
      readonly isAlias: boolean;
      /** In random order. */
      readonly addresses: readonly IpAddress[];
    }
  | { readonly is: 'empty'; readonly service: Service; readonly reason: 'ipv6-disabled' | 'family' | 'no-address' }
  | { readonly is: 'forward'; readonly reason: 'record-type' | 'unknown-name' };

/** A name under which a service may be known. */
interface Candidate {
  readonly name: string;
  /** What was left of the question's name when a search domain was taken from its end; null if none was. */
  readonly stripped: string | null;
}

export function lookupName(
  index: NameIndex,
  rules: DnsRules,
  client: DnsClient,
  question: DnsQuestion,
  rng: Rng,
): DnsLookup {
  const { type } = question;
  if (type !== 'A' && type !== 'AAAA') return { is: 'forward', reason: 'record-type' };
  const asked = withoutTrailingDot(question.name);
  const found = findService(index, rules, client, asked.toLowerCase());
  if (found === null) return { is: 'forward', reason: 'unknown-name' };

  const { service, stripped } = found;
  const wantsIpv6 = type === 'AAAA';
  if (wantsIpv6 && !rules.ipv6Enabled) return { is: 'empty', service, reason: 'ipv6-disabled' };
  if (service.ipFamilies === (wantsIpv6 ? 'ipv4' : 'ipv6')) return { is: 'empty', service, reason: 'family' };
  const addresses = addressesOf(index, client, service, wantsIpv6);
  if (addresses.length === 0) return { is: 'empty', service, reason: 'no-address' };
  shuffle(addresses, rng);
  // The spelling of the question is kept: a client may compare it (0x20).
  const name = stripped === null ? asked : asked.slice(0, stripped.length);
  return { is: 'answer', service, name, isAlias: stripped !== null, addresses };
}

/** In the order in which they are tried, each once. */
export function candidateNames(rules: DnsRules, client: DnsClient, name: string): readonly Candidate[] {
  const clusterDomain = rules.clusterDomain.toLowerCase();
  const namespace = client.namespace.toLowerCase();
  const candidates = new Map<string, Candidate>();
  const add = (stem: string, stripped: string | null): void => {
    for (const each of [stem, ...kubernetesNames(stem, namespace, clusterDomain)]) {
      if (!candidates.has(each)) candidates.set(each, { name: each, stripped });
    }
  };
  add(name, null);
  for (const domain of client.searchDomains ?? podSearchDomains(namespace, clusterDomain)) {
    const suffix = `.${withoutTrailingDot(domain).toLowerCase()}`;
    if (suffix.length > 1 && name.length > suffix.length && name.endsWith(suffix)) {
      const stripped = name.slice(0, -suffix.length);
      add(stripped, stripped);
    }
  }
  return [...candidates.values()];
}

/** What a short name may stand for: a service, or a pod under its headless service. */
export function kubernetesNames(name: string, namespace: string, clusterDomain: string): readonly string[] {
  const labels = name.split('.');
  const isService = labels.at(-1) === 'svc';
  switch (labels.length) {
    case 1:
      return [`${name}.${namespace}.svc.${clusterDomain}`];
    case 2:
      return [`${name}.svc.${clusterDomain}`, `${name}.${namespace}.svc.${clusterDomain}`];
    case 3:
      return isService
        ? [`${name}.${clusterDomain}`, `${name}.svc.${clusterDomain}`]
        : [`${name}.svc.${clusterDomain}`];
    case 4:
      return isService ? [`${name}.${clusterDomain}`] : [];
    default:
      return [];
  }
}

/** The name itself, then wildcards from the nearest to the widest, which keeps one label. */
export function withWildcards(name: string): readonly string[] {
  const names = [name];
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) names.push(`*${name.slice(dot)}`);
  return names;
}

function podSearchDomains(namespace: string, clusterDomain: string): readonly string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

/** `stripped` only where the service is known by its own name: an answer of a wildcard is for the name as asked. */
function findService(
  index: NameIndex,
  rules: DnsRules,
  client: DnsClient,
  name: string,
): { readonly service: Service; readonly stripped: string | null } | null {
  for (const candidate of candidateNames(rules, client, name)) {
    for (const hostname of withWildcards(candidate.name)) {
      const service = bestServiceByName(index.servicesByHostname(hostname), rules, client);
      if (service !== null) return { service, stripped: hostname.startsWith('*') ? null : candidate.stripped };
    }
  }
  return null;
}

/** Own namespace, then canonical, then the preferred namespace, then the first. */
function bestServiceByName(candidates: readonly Service[], rules: DnsRules, client: DnsClient): Service | null {
  let best: Service | null = null;
  let bestRank = -1;
  for (const candidate of candidates) {
    if (candidate.visibility === 'namespace' && candidate.namespace !== client.namespace) continue;
    if (candidate.vips.length === 0 && !isKubernetesName(candidate.hostname, rules.clusterDomain)) continue;
    const rank = rankOf(candidate, rules, client);
    if (rank > bestRank) {
      best = candidate;
      bestRank = rank;
    }
  }
  return best;
}

function rankOf(service: Service, { preferredNamespace }: DnsRules, client: DnsClient): number {
  if (service.namespace === client.namespace) return 3;
  if (service.canonical) return 2;
  return service.namespace === preferredNamespace ? 1 : 0;
}

/** A service there without an address is headless; one from elsewhere is left to who knows it. */
function isKubernetesName(hostname: string, clusterDomain: string): boolean {
  return hostname.toLowerCase().endsWith(`.svc.${clusterDomain.toLowerCase()}`);
}

/** Virtual addresses on the client's network; of a headless service one of each endpoint, whatever its network. */
function addressesOf(index: NameIndex, client: DnsClient, service: Service, wantsIpv6: boolean): IpAddress[] {
  if (service.vips.length > 0) {
    return service.vips
      .filter(({ network, ip }) => network === client.network && ip.isIpv6 === wantsIpv6)
      .map(({ ip }) => ip);
  }
  return index
    .endpoints(service)
    .map(({ workload }) => workload.addresses.find(({ isIpv6 }) => isIpv6 === wantsIpv6))
    .filter((address) => address !== undefined);
}

function shuffle(addresses: IpAddress[], rng: Rng): void {
  for (let last = addresses.length - 1; last > 0; last -= 1) {
    const other = rng.integer(last + 1);
    [addresses[last], addresses[other]] = [addresses[other]!, addresses[last]!];
  }
}

function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
