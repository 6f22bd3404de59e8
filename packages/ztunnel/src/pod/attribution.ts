/** Who stands at the ends of a connection, for telemetry and headers; nothing here decides (reference 3.5 and 4.9). */
import type { Identity } from '@ambit/model/identity';
import type { MeshIndex } from '@ambit/model/mesh-index';
import { type Service, serviceKey } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { formatBaggage } from '@ambit/wire/baggage';

export function identityOf({ trustDomain, namespace, serviceAccount }: Workload): Identity {
  return { trustDomain, namespace, serviceAccount };
}

/** What a workload says of itself. */
export function baggageOf(workload: Workload): string {
  return formatBaggage({
    cluster: workload.clusterId,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    service: workload.canonicalName,
    revision: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
}

/**
 * Which service an inbound call was meant for: the one its authority named or, among those of the workload, the one that
 * the caller's proxy named, else the first that leads to this port.
 */
export function inboundService(
  index: MeshIndex,
  workload: Workload,
  port: number,
  addressed: Service | null,
  forwardedHost: string,
): Service | null {
  const candidates = addressed === null ? servicesOf(index, workload) : [addressed];
  const named = candidates.find(({ hostname }) => hostname === forwardedHost);
  return named ?? candidates.find((service) => leadsTo(service, workload, port)) ?? null;
}

function servicesOf(index: MeshIndex, workload: Workload): Service[] {
  const services: Service[] = [];
  for (const key of workload.services.keys()) {
    const slash = key.indexOf('/');
    const service = index.serviceByHostname({ namespace: key.slice(0, slash), hostname: key.slice(slash + 1) });
    if (service !== null) services.push(service);
  }
  return services;
}

/** As the workload maps the service's ports, and where it does not, as the service does. */
function leadsTo(service: Service, workload: Workload, port: number): boolean {
  const mapping = workload.services.get(serviceKey(service));
  for (const [servicePort, servicesTarget] of service.ports) {
    if ((mapping?.get(servicePort) || servicesTarget) === port) return true;
  }
  return false;
}
