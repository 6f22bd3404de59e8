/**
 * Settings of Istio's ProxyConfig, of which a ztunnel uses five: from the mesh's file, then from PROXY_CONFIG, which counts
 * more. Istio has others, meant for sidecars; they are named in a warning and not obeyed.
 */
import { parse } from 'yaml';
import { nearestWord } from '../nearest-word.ts';
import { integer, type Kind } from './kinds.ts';

export interface ProxyConfig {
  readonly discoveryAddress?: string;
  readonly proxyAdminPort?: number;
  readonly statsPort?: number;
  /** 0: as many as there are CPUs. */
  readonly concurrency?: number;
  readonly proxyMetadata?: Readonly<Record<string, string>>;
}

/** What is wrong goes to `faults`, what is only odd to `warnings`. */
export interface Findings {
  readonly faults: string[];
  readonly warnings: string[];
}

const PORT = integer(1, 65_535);
const CONCURRENCY = integer(0, 65_535);
const KEYS = ['discoveryAddress', 'proxyAdminPort', 'statsPort', 'concurrency', 'proxyMetadata'];

/** The mesh's file has it under `defaultConfig`, among much that is not for proxies. */
export function readMeshFile(text: string, where: string, findings: Findings): ProxyConfig {
  const mesh = parseMapping(text, where, findings);
  const given = mesh?.defaultConfig;
  return given === undefined || given === null ? {} : readFields(given, `${where} defaultConfig`, findings);
}

export function readProxyConfig(text: string, where: string, findings: Findings): ProxyConfig {
  const given = parseMapping(text, where, findings);
  return given === null ? {} : readFields(given, where, findings);
}

export function mergeProxyConfigs(base: ProxyConfig, over: ProxyConfig): ProxyConfig {
  return { ...base, ...over, proxyMetadata: { ...base.proxyMetadata, ...over.proxyMetadata } };
}

function parseMapping(text: string, where: string, findings: Findings): Record<string, unknown> | null {
  let value: unknown;
  try {
    value = parse(text, { logLevel: 'error' });
  } catch (error) {
    findings.faults.push(`${where}: is not YAML: ${(error as Error).message.split('\n')[0]}`);
    return null;
  }
  if (value === null) return null;
  if (isMapping(value)) return value;
  findings.faults.push(`${where}: must be a mapping`);
  return null;
}

function readFields(given: unknown, where: string, findings: Findings): ProxyConfig {
  if (!isMapping(given)) {
    findings.faults.push(`${where}: must be a mapping`);
    return {};
  }
  for (const key of Object.keys(given)) {
    if (KEYS.includes(key)) continue;
    const nearest = nearestWord(key, KEYS);
    findings.warnings.push(`${where}: ${key} is not used${nearest === null ? '' : `; did you mean ${nearest}?`}`);
  }
  const { discoveryAddress, proxyMetadata } = given;
  if (discoveryAddress !== undefined && typeof discoveryAddress !== 'string') {
    findings.faults.push(`${where}: discoveryAddress must be text`);
  }
  return {
    ...(typeof discoveryAddress === 'string' ? { discoveryAddress } : {}),
    ...readNumber(given, 'proxyAdminPort', PORT, where, findings),
    ...readNumber(given, 'statsPort', PORT, where, findings),
    ...readNumber(given, 'concurrency', CONCURRENCY, where, findings),
    ...(proxyMetadata === undefined ? {} : { proxyMetadata: readMetadata(proxyMetadata, where, findings) }),
  };
}

function readNumber<Key extends string>(
  given: Readonly<Record<string, unknown>>,
  key: Key,
  kind: Kind<number>,
  where: string,
  { faults }: Findings,
): Partial<Record<Key, number>> {
  const value = given[key];
  if (value === undefined || value === null) return {};
  const number = typeof value === 'number' ? kind.parse(String(value)) : undefined;
  if (number === undefined) faults.push(`${where}: ${key} must be ${kind.form}`);
  return number === undefined ? {} : ({ [key]: number } as Record<Key, number>);
}

function readMetadata(given: unknown, where: string, { faults }: Findings): Record<string, string> {
  const metadata: Record<string, string> = {};
  if (!isMapping(given)) {
    faults.push(`${where}: proxyMetadata must be a mapping`);
    return metadata;
  }
  for (const [key, value] of Object.entries(given)) {
    if (typeof value === 'string') metadata[key.replace(/^ISTIO_META_/, '')] = value;
    else faults.push(`${where}: proxyMetadata.${key} must be text (in quotes, if it looks like a number)`);
  }
  return metadata;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
