/** The forms in which a setting can be written; those of Istio's ztunnel, so that its manifests work unchanged. */
import { LogFilter } from '@ambit/telemetry/log-filter';
import type { WorkloadInfo } from '../state/workload-store.ts';
import { Secret } from './secret.ts';

export interface Kind<Value> {
  /** Behind "must be". */
  readonly form: string;
  /** Undefined: not in this form. */
  parse(text: string): Value | undefined;
}

/** What Istio writes: `true`, `false`, nothing else. */
export const boolean: Kind<boolean> = {
  form: 'true or false',
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

export const text: Kind<string> = { form: 'text', parse: (value) => value };

export const path: Kind<string> = { form: 'a path', parse: (value) => (value === '' ? undefined : value) };

export const secret: Kind<Secret> = { form: 'text', parse: (value) => new Secret(value) };

export function choice<Word extends string>(...words: readonly Word[]): Kind<Word> {
  return { form: `one of ${words.join(', ')}`, parse: (given) => words.find((word) => word === given) };
}

export function integer(min: number, max: number): Kind<number> {
  return {
    form: `a whole number from ${min} to ${max}`,
    parse(given) {
      const value = /^\d{1,15}$/.test(given) ? Number(given) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A number without a unit counts as seconds, as it does in Istio's ztunnel. */
export const durationMs: Kind<number> = {
  form: 'a duration such as 500ms, 30s, 5m, 24h or 1h30m',
  parse(given) {
    if (/^\d{1,12}$/.test(given)) return Number(given) * 1000;
    if (!/^(\d{1,12}(ms|s|m|h|d)){1,5}$/.test(given)) return undefined;
    let sumMs = 0;
    for (const [, count, unit] of given.matchAll(/(\d+)(ms|s|m|h|d)/g)) sumMs += Number(count) * UNITS_MS[unit!]!;
    return sumMs;
  },
};

/** Null is the empty text, which switches off. Without a scheme it is https, and nothing else is. */
export const controlPlane: Kind<string | null> = {
  form: 'an address such as https://istiod.istio-system.svc:15012, or empty',
  parse(given) {
    if (given === '') return null;
    const url = given.includes('://') ? given : `https://${given}`;
    const parsed = URL.canParse(url) ? new URL(url) : null;
    const isBare = parsed !== null && (parsed.pathname === '/' || parsed.pathname === '') && parsed.search === '';
    return parsed?.protocol === 'https:' && isBare ? url : undefined;
  },
};

/** As Istio's ztunnel: what is behind the second slash belongs to the service account. */
export const workloadInfo: Kind<WorkloadInfo> = {
  form: 'namespace/name/service-account',
  parse(given) {
    const [, namespace, name, serviceAccount] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(given) ?? [];
    if (namespace === undefined || name === undefined || serviceAccount === undefined) return undefined;
    return { namespace, name, serviceAccount };
  },
};

/** In whole CPUs, rounded up. */
export const cpus: Kind<number> = {
  form: 'a CPU quantity such as 2, 1.5 or 500m',
  parse(given) {
    const [, number, milli] = /^(\d{1,9}(?:\.\d{1,9})?)(m?)$/.exec(given) ?? [];
    const count = number === undefined ? 0 : Number(number) / (milli === 'm' ? 1000 : 1);
    return count > 0 ? Math.ceil(count) : undefined;
  },
};

export type WorkerCount =
  | { readonly is: 'count'; readonly count: number }
  | { readonly is: 'percent'; readonly percent: number }
  | { readonly is: 'all' };

export const workers: Kind<WorkerCount> = {
  form: 'a number, a share of the CPUs such as 50%, or 0 for all',
  parse(given) {
    if (given.endsWith('%')) {
      const percent = /^\d{1,3}(\.\d{1,9})?%$/.test(given) ? Number(given.slice(0, -1)) : 0;
      return percent > 0 && percent <= 100 ? { is: 'percent', percent } : undefined;
    }
    if (!/^\d{1,4}$/.test(given)) return undefined;
    return given === '0' ? { is: 'all' } : { is: 'count', count: Number(given) };
  },
};

/** Kept as text: who logs makes the filter. */
export const logFilter: Kind<string> = {
  form: 'levels such as info or info,access=debug',
  parse: (given) => (LogFilter.parse(given) === null ? undefined : given),
};
