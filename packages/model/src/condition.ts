/**
 * One field of a match, made ready to be asked many times without allocating. What each of the twelve fields compares,
 * and what it makes of a caller without an identity, is as in Istio's ztunnel: in plaintext no principal and no service
 * account matches, not even by presence, and the namespace is the empty text; a `not_` field is the plain negation, so
 * that `not_principals: [presence]` holds for exactly those without an identity (STRICT is expressed that way).
 */
import type { Call } from './call.ts';
import type { Cidr } from './ip-address.ts';
import { formatStringMatch, type PolicyMatch, type ServiceAccountMatch, type StringMatch } from './policy.ts';

type ConditionKind =
  | 'principals'
  | 'namespaces'
  | 'service_accounts'
  | 'source_ips'
  | 'destination_ips'
  | 'destination_ports';

interface ConditionValues {
  readonly strings?: readonly StringMatch[] | undefined;
  readonly accounts?: readonly ServiceAccountMatch[] | undefined;
  readonly blocks?: readonly Cidr[] | undefined;
  readonly ports?: readonly number[] | undefined;
}

export class Condition {
  readonly kind: ConditionKind;
  readonly isNegative: boolean;
  readonly #strings: readonly StringMatcher[];
  readonly #accounts: readonly ServiceAccountMatch[];
  readonly #blocks: readonly Cidr[];
  readonly #ports: readonly number[];

  constructor(kind: ConditionKind, isNegative: boolean, values: ConditionValues) {
    this.kind = kind;
    this.isNegative = isNegative;
    this.#strings = (values.strings ?? []).map((match) => new StringMatcher(match));
    this.#accounts = values.accounts ?? [];
    this.#blocks = values.blocks ?? [];
    this.#ports = values.ports ?? [];
  }

  holds(call: Call): boolean {
    return this.#anyMatches(call) !== this.isNegative;
  }

  /** As the policy's author writes it. */
  get field(): string {
    return this.isNegative ? `not_${this.kind}` : this.kind;
  }

  wanted(): string[] {
    return [
      ...this.#strings.map(({ text }) => text),
      ...this.#accounts.map(({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}`),
      ...this.#blocks.map(String),
      ...this.#ports.map(String),
    ];
  }

  /** What the call has in this place; empty when it has nothing. */
  got(call: Call): string {
    switch (this.kind) {
      case 'principals':
        return call.principal ?? '';
      case 'namespaces':
        return call.source?.namespace ?? '';
      case 'service_accounts':
        return call.source === null ? '' : `${call.source.namespace}/${call.source.serviceAccount}`;
      case 'source_ips':
        return call.sourceIp.toString();
      case 'destination_ips':
        return call.destinationIp.toString();
      case 'destination_ports':
        return String(call.destinationPort);
    }
  }

  #anyMatches(call: Call): boolean {
    switch (this.kind) {
      case 'principals':
        return call.principal !== null && anyString(this.#strings, call.principal);
      case 'namespaces':
        return anyString(this.#strings, call.source === null ? '' : call.source.namespace);
      case 'service_accounts':
        return call.source !== null && anyAccount(this.#accounts, call.source);
      case 'source_ips':
        return anyBlock(this.#blocks, call.sourceIp);
      case 'destination_ips':
        return anyBlock(this.#blocks, call.destinationIp);
      case 'destination_ports':
        return this.#ports.includes(call.destinationPort);
    }
  }
}

/** The declared fields of a match, those first that are cheap to ask and often decide. */
export function conditionsOf(match: PolicyMatch): Condition[] {
  const conditions: Condition[] = [];
  const add = (kind: ConditionKind, isNegative: boolean, values: ConditionValues): void => {
    const { strings, accounts, blocks, ports } = values;
    const list = strings ?? accounts ?? blocks ?? ports ?? [];
    if (list.length > 0) conditions.push(new Condition(kind, isNegative, values));
  };
  add('destination_ports', false, { ports: match.destinationPorts });
  add('destination_ports', true, { ports: match.notDestinationPorts });
  add('principals', false, { strings: match.principals });
  add('principals', true, { strings: match.notPrincipals });
  add('namespaces', false, { strings: match.namespaces });
  add('namespaces', true, { strings: match.notNamespaces });
  add('service_accounts', false, { accounts: match.serviceAccounts });
  add('service_accounts', true, { accounts: match.notServiceAccounts });
  add('source_ips', false, { blocks: match.sourceIps });
  add('source_ips', true, { blocks: match.notSourceIps });
  add('destination_ips', false, { blocks: match.destinationIps });
  add('destination_ips', true, { blocks: match.notDestinationIps });
  return conditions;
}

/** One shape for all four kinds, so that the comparison stays monomorphic. */
class StringMatcher {
  readonly is: StringMatch['is'];
  readonly value: string;
  readonly text: string;

  constructor(match: StringMatch) {
    this.is = match.is;
    this.value = match.is === 'presence' ? '' : match.value;
    this.text = formatStringMatch(match);
  }

  matches(text: string): boolean {
    switch (this.is) {
      case 'exact':
        return text === this.value;
      case 'prefix':
        return text.startsWith(this.value);
      case 'suffix':
        return text.endsWith(this.value);
      case 'presence':
        return text !== '';
    }
  }
}

function anyString(matchers: readonly StringMatcher[], text: string): boolean {
  for (let i = 0; i < matchers.length; i += 1) if (matchers[i]!.matches(text)) return true;
  return false;
}

/** The trust domain is not looked at. */
function anyAccount(accounts: readonly ServiceAccountMatch[], source: ServiceAccountMatch): boolean {
  for (let i = 0; i < accounts.length; i += 1) {
    const account = accounts[i]!;
    if (account.namespace === source.namespace && account.serviceAccount === source.serviceAccount) return true;
  }
  return false;
}

function anyBlock(blocks: readonly Cidr[], ip: Call['sourceIp']): boolean {
  for (let i = 0; i < blocks.length; i += 1) if (blocks[i]!.contains(ip)) return true;
  return false;
}
