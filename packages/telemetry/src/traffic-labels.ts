/**
 * Who called whom, as the labels of Istio's TCP metrics (ztunnel section 8.1): 26 in a fixed order. What is not known is
 * `unknown`, but for region and zone, which are left out where neither end is known.
 */
import { formatIdentity, type Identity } from '@ambit/model/identity';
import type { Workload } from '@ambit/model/workload';
import type { Baggage } from '@ambit/wire/baggage';
import { BAGGAGE_LABEL_CHARS_MAX } from './limits.ts';
import { LabelSchema, type LabelValues } from './metric-labels.ts';

export type Reporter = 'source' | 'destination';

/** `-`: nothing went wrong. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED';

/** What telemetry tells of a workload; a Workload is one. */
export type TrafficWorkload = Pick<
  Workload,
  | 'name'
  | 'namespace'
  | 'trustDomain'
  | 'serviceAccount'
  | 'workloadName'
  | 'canonicalName'
  | 'canonicalRevision'
  | 'clusterId'
  | 'locality'
>;

export interface TrafficContext {
  readonly reporter: Reporter;
  /** From the state of the mesh. Null also where a gateway stands between (x-forwarded-network). */
  readonly source: TrafficWorkload | null;
  /** What the source says of itself, which counts where the state knows nothing. */
  readonly sourceBaggage: Baggage | null;
  /** From mutual TLS alone: our own as client, the certificate's as server; null in plaintext. */
  readonly sourceIdentity: Identity | null;
  readonly destination: TrafficWorkload | null;
  /** From the response, where the destination is in another network: who really answered. It wins over `destination`. */
  readonly answered: { readonly baggage: Baggage; readonly identity: Identity | null } | null;
  readonly service: { readonly namespace: string; readonly name: string; readonly hostname: string } | null;
  readonly isMutualTls: boolean;
}

export const SOURCE_LABELS = [
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
] as const;

export const TRAFFIC_LABELS = new LabelSchema([
  'reporter',
  ...SOURCE_LABELS,
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
]);

export type TrafficValues = LabelValues<typeof TRAFFIC_LABELS.names>;

/** One end, in words; empty where nothing is known. */
export interface TrafficPeer {
  readonly isKnown: boolean;
  readonly workload: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly namespace: string;
  readonly principal: string;
  readonly app: string;
  readonly cluster: string;
  readonly region: string;
  readonly zone: string;
}

export function trafficSource({ source, sourceBaggage, sourceIdentity }: TrafficContext): TrafficPeer {
  const principal = sourceIdentity === null ? '' : formatIdentity(sourceIdentity);
  if (source !== null) return peerOf(source, principal);
  return sourceBaggage === null ? { ...NOBODY, principal } : peerOfBaggage(sourceBaggage, principal);
}

/** Unlike that of a source, its principal comes from the state, also in plaintext. */
export function trafficDestination({ destination, answered }: TrafficContext): TrafficPeer {
  if (answered !== null) {
    const { baggage, identity } = answered;
    return peerOfBaggage(baggage, identity === null ? '' : formatIdentity(identity));
  }
  return destination === null ? NOBODY : peerOf(destination, formatIdentity(destination));
}

export function trafficLabels(
  { reporter, service, isMutualTls }: TrafficContext,
  source: TrafficPeer,
  destination: TrafficPeer,
  flag: ResponseFlag,
): TrafficValues {
  const hasLocality = source.isKnown || destination.isKnown;
  return [
    reporter,
    ...sourceValues(source),
    known(service?.hostname),
    known(service?.namespace),
    known(service?.name),
    known(destination.workload),
    known(destination.canonicalService),
    known(destination.canonicalRevision),
    known(destination.namespace),
    known(destination.principal),
    known(destination.app),
    known(destination.canonicalRevision),
    known(destination.cluster),
    'tcp',
    flag,
    isMutualTls ? 'mutual_tls' : 'unknown',
    hasLocality ? known(source.region) : null,
    hasLocality ? known(source.zone) : null,
    hasLocality ? known(destination.region) : null,
    hasLocality ? known(destination.zone) : null,
  ];
}

const FLAG_INDEX = TRAFFIC_LABELS.names.indexOf('response_flags');

export function withFlag(values: TrafficValues, flag: ResponseFlag): TrafficValues {
  return values.map((value, i) => (i === FLAG_INDEX ? flag : value)) as unknown as TrafficValues;
}

/** In the order of SOURCE_LABELS. */
export function sourceValues(source: TrafficPeer): LabelValues<typeof SOURCE_LABELS> {
  return [
    known(source.workload),
    known(source.canonicalService),
    known(source.canonicalRevision),
    known(source.namespace),
    known(source.principal),
    known(source.app),
    known(source.canonicalRevision),
    known(source.cluster),
  ];
}

const NOBODY: TrafficPeer = {
  isKnown: false,
  workload: '',
  canonicalService: '',
  canonicalRevision: '',
  namespace: '',
  principal: '',
  app: '',
  cluster: '',
  region: '',
  zone: '',
};

function peerOf(workload: TrafficWorkload, principal: string): TrafficPeer {
  return {
    isKnown: true,
    workload: workload.workloadName,
    canonicalService: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    namespace: workload.namespace,
    principal,
    app: workload.canonicalName,
    cluster: workload.clusterId,
    region: workload.locality.region,
    zone: workload.locality.zone,
  };
}

/** Baggage names no app: the name of the workload stands for it. */
function peerOfBaggage(baggage: Baggage, principal: string): TrafficPeer {
  return {
    isKnown: true,
    workload: cut(baggage.workloadName),
    canonicalService: cut(baggage.service),
    canonicalRevision: cut(baggage.revision),
    namespace: cut(baggage.namespace),
    principal,
    app: cut(baggage.workloadName),
    cluster: cut(baggage.cluster),
    region: cut(baggage.region),
    zone: cut(baggage.zone),
  };
}

function known(text: string | undefined): string {
  return text === undefined || text === '' ? 'unknown' : text;
}

/** A peer chose it. */
function cut(text: string): string {
  return text.length <= BAGGAGE_LABEL_CHARS_MAX ? text : text.slice(0, BAGGAGE_LABEL_CHARS_MAX);
}
