/** What the DNS proxy needs of resolv.conf(5). Lines that say nothing to it, or nothing it understands, are skipped. */
import { canonicalIp } from '@ambit/wire/ip';
import {
  NAMESERVERS_MAX,
  RESOLVER_ATTEMPTS,
  RESOLVER_ATTEMPTS_MAX,
  RESOLVER_TIMEOUT_SECONDS,
  RESOLVER_TIMEOUT_SECONDS_MAX,
  SEARCH_DOMAINS_MAX,
} from './limits.ts';

export interface ResolvConf {
  /** Addresses, in the order in which they are asked. */
  readonly nameservers: readonly string[];
  readonly searchDomains: readonly string[];
  /** For one try with one nameserver. */
  readonly timeoutMs: number;
  /** Rounds through all nameservers. */
  readonly attempts: number;
}

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let searchDomains: readonly string[] = [];
  let timeoutSeconds = RESOLVER_TIMEOUT_SECONDS;
  let attempts = RESOLVER_ATTEMPTS;
  for (const line of text.split('\n')) {
    // A comment begins a line; behind `#` or `;` within one nothing counts either, as most resolvers have it.
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .split(/\s+/)
      .filter((word) => word !== '');
    if (keyword === 'nameserver') {
      const ip = canonicalIp(values[0] ?? '');
      if (ip !== null && nameservers.length < NAMESERVERS_MAX) nameservers.push(ip);
    } else if (keyword === 'search' || keyword === 'domain') {
      // The last such line counts.
      searchDomains = (keyword === 'domain' ? values.slice(0, 1) : values).slice(0, SEARCH_DOMAINS_MAX);
    } else if (keyword === 'options') {
      for (const option of values) {
        timeoutSeconds = numberOf(option, 'timeout', RESOLVER_TIMEOUT_SECONDS_MAX) ?? timeoutSeconds;
        attempts = numberOf(option, 'attempts', RESOLVER_ATTEMPTS_MAX) ?? attempts;
      }
    }
  }
  return { nameservers, searchDomains, timeoutMs: timeoutSeconds * 1000, attempts };
}

/** Of `name:7`, at least 1 and at most `max`; null for anything else. */
function numberOf(option: string, name: string, max: number): number | null {
  const digits = option.startsWith(`${name}:`) ? option.slice(name.length + 1) : '';
  return /^\d+$/.test(digits) ? Math.min(Math.max(Number(digits), 1), max) : null;
}
