/** Workloads, baggage, outputs and hostile text as the tests of this package want them. */
import { ManualClock } from '@ambit/base/clock';
import type { Baggage } from '@ambit/wire/baggage';
import fc from 'fast-check';
import { LogFilter } from './log-filter.ts';
import type { LineFormat } from './log-line.ts';
import type { LineOutput } from './scoped-log.ts';
import type { TrafficContext, TrafficWorkload } from './traffic-labels.ts';

/** 2026-01-02T03:04:05.678901Z */
export const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 0.901;

export function trafficWorkload(given: Partial<TrafficWorkload> = {}): TrafficWorkload {
  return {
    name: 'web-7f-abc',
    namespace: 'shop',
    trustDomain: 'cluster.local',
    serviceAccount: 'web',
    workloadName: 'web-7f',
    canonicalName: 'web',
    canonicalRevision: 'v1',
    clusterId: 'Kubernetes',
    locality: { region: 'r1', zone: 'z1', subzone: '' },
    ...given,
  };
}

export const CART = trafficWorkload({
  name: 'cart-0',
  serviceAccount: 'cart',
  workloadName: 'cart',
  canonicalName: 'cart',
  canonicalRevision: 'v2',
  locality: { region: 'r1', zone: 'z2', subzone: '' },
});

export const WEB_IDENTITY = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };

export const BAGGAGE: Baggage = {
  cluster: 'far',
  namespace: 'other',
  workloadType: 'pod',
  workloadName: 'client',
  service: 'client-app',
  revision: 'v9',
  region: 'r9',
  zone: 'z9',
};

/** As the client's proxy sees a call from web to cart. */
export function trafficContext(given: Partial<TrafficContext> = {}): TrafficContext {
  return {
    reporter: 'source',
    source: trafficWorkload(),
    sourceBaggage: null,
    sourceIdentity: WEB_IDENTITY,
    destination: CART,
    answered: null,
    service: { namespace: 'shop', name: 'cart', hostname: 'cart.shop.svc.cluster.local' },
    isMutualTls: true,
    ...given,
  };
}

export function lineOutput(format: LineFormat, filter = 'debug'): LineOutput & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    format,
    filter: LogFilter.parse(filter)!,
    clock: new ManualClock(AT_MS),
    sink: (line) => lines.push(line),
    lines,
  };
}

/** Any UTF-16, lone halves of surrogates too, with what could end a quotation, a field or a line more often. */
export const hostileText = fc
  .array(
    fc.oneof(
      fc.nat(0xffff).map((unit) => String.fromCharCode(unit)),
      fc.constantFrom('"', '\\', '\n', '\r', '\t', ' ', '=', ',', '{', '}', 'n', '\u2028', '\u009b', '\u007f'),
    ),
    { maxLength: 20 },
  )
  .map((units) => units.join(''));
