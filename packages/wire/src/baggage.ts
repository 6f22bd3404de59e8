/**
 * The `baggage` header (W3C Baggage) with the keys that Istio's ztunnel writes: what a workload says of itself, for
 * telemetry and never for a decision. Values are neither escaped nor unescaped, as there.
 */
import { BAGGAGE_MAX_BYTES, BAGGAGE_MEMBERS_MAX } from './limits.ts';

export type BaggageWorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';

/** Empty text: absent. */
export interface Baggage {
  readonly cluster: string;
  readonly namespace: string;
  /** Says something only with a `workloadName`. */
  readonly workloadType: BaggageWorkloadType;
  readonly workloadName: string;
  readonly service: string;
  readonly revision: string;
  readonly region: string;
  readonly zone: string;
}

const KEYS = {
  cluster: 'k8s.cluster.name',
  namespace: 'k8s.namespace.name',
  service: 'service.name',
  revision: 'service.version',
  region: 'cloud.region',
  zone: 'cloud.availability_zone',
} as const;

const FIELD_OF_KEY: ReadonlyMap<string, keyof typeof KEYS> = new Map(
  Object.entries(KEYS).map(([field, key]) => [key, field as keyof typeof KEYS]),
);

const WORKLOAD_TYPE_OF_KEY: ReadonlyMap<string, BaggageWorkloadType> = new Map([
  ['k8s.deployment.name', 'deployment'],
  ['k8s.cronjob.name', 'cronjob'],
  ['k8s.pod.name', 'pod'],
  ['k8s.job.name', 'job'],
]);

/** Printable, and nothing that ends a value: unescaped, such a value would forge another member. */
const WRITABLE = /^[\x21-\x2b\x2d-\x3a\x3c-\x7e]+$/;

/** Members that are present, in ztunnel's order; empty text if there are none. */
export function formatBaggage(baggage: Baggage): string {
  const members: string[] = [];
  addMember(members, KEYS.cluster, baggage.cluster);
  addMember(members, KEYS.namespace, baggage.namespace);
  addMember(members, `k8s.${baggage.workloadType}.name`, baggage.workloadName);
  addMember(members, KEYS.service, baggage.service);
  addMember(members, KEYS.revision, baggage.revision);
  addMember(members, KEYS.region, baggage.region);
  addMember(members, KEYS.zone, baggage.zone);
  return members.join(',');
}

/** Several header lines are one list, joined by commas. Unknown and malformed members are skipped; the last one of a key counts. */
export function parseBaggage(text: string): Baggage {
  const baggage = {
    cluster: '',
    namespace: '',
    workloadType: 'pod' as BaggageWorkloadType,
    workloadName: '',
    service: '',
    revision: '',
    region: '',
    zone: '',
  };
  if (text.length > BAGGAGE_MAX_BYTES) return baggage;
  for (const member of text.split(',', BAGGAGE_MEMBERS_MAX)) {
    const equals = member.indexOf('=');
    if (equals < 0) continue;
    const key = member.slice(0, equals).trim();
    const value = member.slice(equals + 1).trim();
    if (value === '') continue;
    const field = FIELD_OF_KEY.get(key);
    const workloadType = WORKLOAD_TYPE_OF_KEY.get(key);
    if (field !== undefined) baggage[field] = value;
    else if (workloadType !== undefined) {
      baggage.workloadType = workloadType;
      baggage.workloadName = value;
    }
  }
  return baggage;
}

function addMember(members: string[], key: string, value: string): void {
  if (WRITABLE.test(value)) members.push(`${key}=${value}`);
}
