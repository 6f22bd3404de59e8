/**
 * Policies and calls for comparing evaluators of L4 authorization: seeded, small alphabets so that things meet, and a
 * bias to conditions that the call fulfils, else nearly every verdict would be the same. A world is one destination
 * workload with the policies of its mesh and some calls to it, because another mesh's proxy reads its policies once.
 */
import { type Rng, seededRng } from '@ambit/base/rng';
import { type Call, makeCall } from '@ambit/model/call';
import type { Identity } from '@ambit/model/identity';
import { Cidr, type IpAddress, ipAddressOf, parseIpAddress } from '@ambit/model/ip-address';
import type {
  Policy,
  PolicyClause,
  PolicyMatch,
  PolicyRule,
  ServiceAccountMatch,
  StringMatch,
} from '@ambit/model/policy';

export interface RbacWorld {
  readonly policies: readonly Policy[];
  readonly destination: RbacDestination;
  readonly calls: readonly Call[];
}

/** The called workload, with as much of it as policies and a proxy's file of workloads need. */
export interface RbacDestination {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly name: string;
  readonly addresses: readonly IpAddress[];
  readonly authorizationPolicies: readonly string[];
}

/** Where calls come from and go to: a test with real sockets must be able to bind them. */
export interface RbacPairOptions {
  readonly callsPerWorld: number;
  readonly policiesMax: number;
  readonly sourceIps: readonly string[];
  readonly destinationIps: readonly string[];
  readonly ports: readonly number[];
}

const IPV4_ONLY: RbacPairOptions = {
  callsPerWorld: 10,
  policiesMax: 5,
  sourceIps: ['127.0.0.9', '127.0.0.137', '127.200.3.4', '127.255.0.77'],
  destinationIps: ['127.0.0.3', '127.0.1.130'],
  ports: [8080, 9090, 9091],
};

/** For evaluators in the same process. */
export const ANY_ADDRESSES: RbacPairOptions = {
  ...IPV4_ONLY,
  sourceIps: [
    ...IPV4_ONLY.sourceIps,
    '10.1.2.3',
    '255.255.255.255',
    'fd00::9',
    'fd00:0:0:1:8000::1',
    '2001:db8::ffff:1',
  ],
  destinationIps: [...IPV4_ONLY.destinationIps, '10.1.200.3', 'fd00::3'],
  ports: [...IPV4_ONLY.ports, 80, 65_535],
};

/** For a proxy that is called over loopback. */
export const LOOPBACK_ADDRESSES = IPV4_ONLY;

const TRUST_DOMAIN = 'cluster.local';
const NAMESPACES = ['shop', 'shop-eu', 'eu'];
const SERVICE_ACCOUNTS = ['web', 'web-api', 'api'];
const ROOT_NAMESPACE = 'istio-system';

/** The same seed and options give the same world. */
export function generateRbacWorld(seed: number, options: RbacPairOptions): RbacWorld {
  return new WorldGenerator(seededRng(seed), options).world();
}

class WorldGenerator {
  readonly #rng: Rng;
  readonly #options: RbacPairOptions;

  constructor(rng: Rng, options: RbacPairOptions) {
    this.#rng = rng;
    this.#options = options;
  }

  world(): RbacWorld {
    const namespace = this.#pick(NAMESPACES);
    const addresses = this.#options.destinationIps.map(addressOf);
    const facts = Array.from({ length: this.#options.callsPerWorld }, () => this.#callFacts(addresses));
    // Policies are made with the first call in mind; the others are near it.
    const [aim] = facts as [CallDraft, ...CallDraft[]];
    const policies = this.#policies(aim);
    const destination: RbacDestination = {
      namespace,
      serviceAccount: 'target',
      name: 'target',
      addresses,
      authorizationPolicies: this.#named(policies),
    };
    return { policies, destination, calls: facts.map((draft) => makeCall({ ...draft, destination })) };
  }

  #callFacts(destinations: readonly IpAddress[]): CallDraft {
    const source: Identity | null = this.#chance(0.2)
      ? null
      : { trustDomain: TRUST_DOMAIN, namespace: this.#pick(NAMESPACES), serviceAccount: this.#pick(SERVICE_ACCOUNTS) };
    const sourceIp = addressOf(this.#pick(this.#options.sourceIps));
    const destinationIp = this.#pick(destinations);
    return { source, sourceIp, destinationIp, destinationPort: this.#pick(this.#options.ports) };
  }

  #policies(aim: CallDraft): Policy[] {
    const count = this.#rng.integer(this.#options.policiesMax + 1);
    return Array.from({ length: count }, (_, index): Policy => {
      const scope = this.#pick(['global', 'namespace', 'namespace', 'workload'] as const);
      return {
        name: `policy-${index}`,
        namespace: scope === 'global' ? ROOT_NAMESPACE : this.#pick([...NAMESPACES, ROOT_NAMESPACE]),
        scope,
        action: this.#chance(0.55) ? 'ALLOW' : 'DENY',
        dryRun: this.#chance(0.12),
        rules: this.#list([0.08, 0.62, 0.3], () => this.#rule(aim)),
      };
    });
  }

  #rule(aim: CallDraft): PolicyRule {
    return { clauses: this.#list([0.06, 0.54, 0.3, 0.1], () => this.#clause(aim)) };
  }

  #clause(aim: CallDraft): PolicyClause {
    return { matches: this.#list([0.08, 0.62, 0.3], () => this.#match(aim)) };
  }

  /** One to three of the twelve fields; sometimes none, sometimes a list that is there and empty. */
  #match(aim: CallDraft): PolicyMatch {
    const match: Writable<PolicyMatch> = {};
    for (let left = this.#chance(0.08) ? 0 : 1 + this.#rng.integer(3); left > 0; left -= 1) {
      const isNegative = this.#chance(0.35);
      // A negative list that names the caller decides as often as a positive one that misses it.
      const meets = this.#chance(isNegative ? 0.35 : 0.7);
      this.#field(
        match,
        isNegative,
        meets ? aim : this.#callFacts([addressOf(this.#pick(this.#options.destinationIps))]),
      );
    }
    if (this.#chance(0.03)) match.destinationPorts ??= [];
    return match;
  }

  #field(match: Writable<PolicyMatch>, isNegative: boolean, near: CallDraft): void {
    const { source } = near;
    const namespace = source?.namespace ?? '';
    const principal = source === null ? '' : `${source.trustDomain}/ns/${namespace}/sa/${source.serviceAccount}`;
    const many = <Value>(make: () => Value): Value[] => this.#list([0, 0.7, 0.3], make);
    switch (this.#rng.integer(6)) {
      case 0:
        match[isNegative ? 'notPrincipals' : 'principals'] = many(() => this.#stringMatch(principal));
        return;
      case 1:
        match[isNegative ? 'notNamespaces' : 'namespaces'] = many(() => this.#stringMatch(namespace));
        return;
      case 2:
        match[isNegative ? 'notServiceAccounts' : 'serviceAccounts'] = many(() => this.#account(source));
        return;
      case 3:
        match[isNegative ? 'notSourceIps' : 'sourceIps'] = many(() => this.#cidr(near.sourceIp));
        return;
      case 4:
        match[isNegative ? 'notDestinationIps' : 'destinationIps'] = many(() => this.#cidr(near.destinationIp));
        return;
      default:
        match[isNegative ? 'notDestinationPorts' : 'destinationPorts'] = many(() => near.destinationPort);
    }
  }

  #stringMatch(text: string): StringMatch {
    const cut = this.#rng.integer(text.length + 1);
    const is = this.#pick(['exact', 'exact', 'prefix', 'suffix', 'presence'] as const);
    if (is === 'presence') return { is };
    let value = is === 'exact' ? text : is === 'prefix' ? text.slice(0, cut) : text.slice(cut);
    // Near misses: another case, the scheme that patterns must not have, one character more, what is no wildcard.
    if (this.#chance(0.06)) value = value.toUpperCase();
    if (this.#chance(0.06)) value = `spiffe://${value}`;
    if (this.#chance(0.06)) value = is === 'suffix' ? `x${value}` : `${value}x`;
    if (this.#chance(0.03)) value = '*';
    return { is, value };
  }

  #account(source: Identity | null): ServiceAccountMatch {
    const { namespace, serviceAccount } = source ?? { namespace: '', serviceAccount: '' };
    if (this.#chance(0.15)) return { namespace: this.#pick(NAMESPACES), serviceAccount };
    if (this.#chance(0.15)) return { namespace, serviceAccount: this.#pick(SERVICE_ACCOUNTS) };
    return { namespace, serviceAccount };
  }

  /** Around the address, with bits behind the prefix; in one of four cases one bit before it differs. */
  #cidr(ip: IpAddress): Cidr {
    const bytes = ip.toBytes();
    const width = bytes.length * 8;
    const prefixBits = this.#pick(
      [0, 1, 7, 8, 9, 24, 31, 32, 33, 63, 64, 65, 96, 97, 127, 128].filter((bits) => bits <= width),
    );
    const flipped = this.#rng.integer(width);
    if (this.#chance(0.25)) bytes[flipped >> 3]! ^= 0x80 >> (flipped & 7);
    const boundary = this.#chance(0.2) ? Math.max(prefixBits - 1, 0) : -1;
    if (boundary >= 0) bytes[boundary >> 3]! ^= 0x80 >> (boundary & 7);
    return new Cidr(ipAddressOf(bytes)!, prefixBits);
  }

  /** Known ones, some of them twice or applying anyway, and rarely one that nobody has. */
  #named(policies: readonly Policy[]): string[] {
    const named = policies
      .filter(({ scope }) => this.#chance(scope === 'workload' ? 0.7 : 0.1))
      .map(({ namespace, name }) => `${namespace}/${name}`);
    return this.#chance(0.04) ? [...named, 'shop/not-known'] : named;
  }

  /** How likely are none, one, two ... */
  #list<Value>(chances: readonly number[], make: () => Value): Value[] {
    let draw = this.#rng.next();
    let length = 0;
    while (length < chances.length - 1 && draw >= chances[length]!) {
      draw -= chances[length]!;
      length += 1;
    }
    return Array.from({ length }, make);
  }

  #chance(probability: number): boolean {
    return this.#rng.next() < probability;
  }

  #pick<Value>(from: readonly Value[]): Value {
    return from[this.#rng.integer(from.length)]!;
  }
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

type CallDraft = Pick<Call, 'source' | 'sourceIp' | 'destinationIp' | 'destinationPort'>;

function addressOf(text: string): IpAddress {
  return parseIpAddress(text)!;
}
