/** `/metrics` and `/stats/prometheus` for Prometheus (ztunnel section 8.1), with what the children counted up to now. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { expositionContentType, formatExposition } from './exposition.ts';
import type { HttpHandler } from './http-server.ts';
import type { MetricRegistry } from './metrics.ts';

const compress = promisify(gzip);

export interface StatsOptions {
  readonly registry: MetricRegistry;
  /** Merges what the children have; it waits for none for long. */
  readonly collect: () => Promise<void> | void;
}

export function statsHandler({ registry, collect }: StatsOptions): HttpHandler {
  // Scrapers that come at the same time share one text: it may be large.
  let running: Promise<string> | null = null;
  const render = async (): Promise<string> => {
    try {
      await collect();
      return formatExposition(registry);
    } finally {
      running = null;
    }
  };
  return async ({ path, header }) => {
    if (path !== '/metrics' && path !== '/stats/prometheus') return { status: 404 };
    running ??= render();
    const text = await running;
    const headers = { 'content-type': expositionContentType(header('accept')), vary: 'accept-encoding' };
    if (!acceptsGzip(header('accept-encoding'))) return { status: 200, headers, body: text };
    return { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: await compress(text) };
  };
}

/** RFC 9110 section 12.5.3; `q=0` refuses. */
function acceptsGzip(acceptEncoding: string): boolean {
  return acceptEncoding.split(',').some((coding) => {
    const [name = '', ...parameters] = coding.split(';').map((part) => part.trim().toLowerCase());
    return name === 'gzip' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
