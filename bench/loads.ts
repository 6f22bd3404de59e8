/** The loads by name, with the figures each gives. `quick` proves in seconds that everything works; it measures nothing. */
import type { Load } from './load/request.ts';

export interface Figure {
  readonly key: string;
  readonly label: string;
  readonly digits: number;
  readonly better: 'more' | 'less';
}

export interface NamedLoad {
  readonly name: string;
  readonly title: string;
  readonly full: Load;
  readonly quick: Load;
  readonly figures: readonly Figure[];
  /** Each application connection on an HBONE connection of its own. */
  readonly unpooled: boolean;
}

const GB = 1e9;
const MB = 1e6;

const BULK: readonly Figure[] = [
  { key: 'gbitPerSecond', label: 'Gbit/s', digits: 2, better: 'more' },
  { key: 'cpuSecondsPerGB', label: 'CPU-s per GB', digits: 2, better: 'less' },
];
const REQUESTS: readonly Figure[] = [
  { key: 'perSecond', label: 'per s', digits: 0, better: 'more' },
  { key: 'p50Us', label: 'p50 us', digits: 0, better: 'less' },
  { key: 'p99Us', label: 'p99 us', digits: 0, better: 'less' },
  { key: 'cpuUsEach', label: 'CPU us each', digits: 1, better: 'less' },
];
const IDLE_LEVELS = [0, 1000, 10_000];
const QUICK_IDLE_LEVELS = [0, 20, 100];

export const LOADS: readonly NamedLoad[] = [
  bulk('bulk-up', 1),
  bulk('bulk-up', 8),
  bulk('bulk-down', 1),
  bulk('bulk-down', 8),
  requests('rr', 1),
  requests('rr', 32),
  requests('crr', 1),
  requests('crr', 16),
  idle('idle-streams', 'idle connections, HBONE pooled', false),
  idle('idle-hbone', 'idle connections, each its own HBONE', true),
];

/** `rr` names `rr-1` and `rr-32`, `rr-1` only itself. */
export function selectLoads(prefixes: readonly string[]): readonly NamedLoad[] {
  if (prefixes.length === 0) return LOADS;
  const matches = (load: NamedLoad, prefix: string): boolean =>
    load.name === prefix || load.name.startsWith(`${prefix}-`);
  for (const prefix of prefixes) {
    if (!LOADS.some((load) => matches(load, prefix))) {
      throw new Error(`no load is named ${prefix}; there are: ${LOADS.map((load) => load.name).join(' ')}`);
    }
  }
  return LOADS.filter((load) => prefixes.some((prefix) => matches(load, prefix)));
}

function bulk(kind: 'bulk-up' | 'bulk-down', streams: number): NamedLoad {
  return {
    name: `${kind}-${streams}`,
    title: `${kind === 'bulk-up' ? 'bulk up' : 'bulk down'}, ${streams} stream${streams > 1 ? 's' : ''}`,
    full: { kind, streams, bytes: 2 * GB, warmupBytes: 250 * MB },
    quick: { kind, streams, bytes: 40 * MB, warmupBytes: 4 * MB },
    figures: BULK,
    unpooled: false,
  };
}

function requests(kind: 'rr' | 'crr', connections: number): NamedLoad {
  const how = connections === 1 ? 'one at a time' : `${connections} at once`;
  return {
    name: `${kind}-${connections}`,
    title: kind === 'rr' ? `1 KB there and back, ${how}` : `new connection and 1 KB, ${how}`,
    full: { kind, connections, durationMs: 4000, warmupMs: 1000 },
    quick: { kind, connections, durationMs: 200, warmupMs: 50 },
    figures: REQUESTS,
    unpooled: false,
  };
}

function idle(name: string, title: string, unpooled: boolean): NamedLoad {
  const less = (key: string, label: string): Figure => ({ key, label, digits: 1, better: 'less' });
  return {
    name,
    title,
    full: { kind: 'idle', levels: IDLE_LEVELS },
    quick: { kind: 'idle', levels: QUICK_IDLE_LEVELS },
    figures: [
      { key: 'connections', label: 'connections held', digits: 0, better: 'more' },
      less('rssMB0', 'RSS with none, MB'),
      less('rssMB1', 'RSS with the first 1,000, MB'),
      less('rssMB2', 'RSS with all, MB'),
      less('pssMB2', 'PSS with all, MB'),
      less('rssMBClosed', 'RSS after closing, MB'),
      less('kBEach', 'kB each, both ends'),
      ...(unpooled ? [less('kBEndpoint', 'kB per HBONE endpoint')] : []),
      less('kBClient', 'kB each, client side'),
      less('kBServer', 'kB each, server side'),
    ],
    unpooled,
  };
}
