/**
 * Workloads of one deployment differ in name and address and in nothing else. What they have in common is kept once:
 * that, and not packing, is what makes 100,000 of them fit, and a lookup has nothing to decode.
 */
import type { GatewayAddress, Locality, PortMap, Workload } from '@ambit/model/workload';

export class SharedParts {
  readonly #texts: Shared<string>;
  readonly #ports: Shared<PortMap>;
  readonly #services: Shared<Workload['services']>;
  readonly #policies: Shared<readonly string[]>;
  readonly #gateways: Shared<GatewayAddress>;
  readonly #localities: Shared<Locality>;

  constructor(partsMax: number) {
    this.#texts = new Shared(partsMax);
    this.#ports = new Shared(partsMax);
    this.#services = new Shared(partsMax);
    this.#policies = new Shared(partsMax);
    this.#gateways = new Shared(partsMax);
    this.#localities = new Shared(partsMax);
  }

  /** The same workload, its common parts in the place where the others have them. */
  workload(given: Workload): Workload {
    return {
      ...given,
      namespace: this.#text(given.namespace),
      hostname: this.#text(given.hostname),
      network: this.#text(given.network),
      trustDomain: this.#text(given.trustDomain),
      serviceAccount: this.#text(given.serviceAccount),
      waypoint: this.#gateway(given.waypoint),
      networkGateway: this.#gateway(given.networkGateway),
      node: this.#text(given.node),
      canonicalName: this.#text(given.canonicalName),
      canonicalRevision: this.#text(given.canonicalRevision),
      workloadName: this.#text(given.workloadName),
      services: this.#servicesOf(given.services),
      authorizationPolicies: this.#policies.take(
        JSON.stringify(given.authorizationPolicies),
        given.authorizationPolicies,
      ),
      clusterId: this.#text(given.clusterId),
      locality: this.#locality(given.locality),
    };
  }

  #text(text: string): string {
    return this.#texts.take(text, text);
  }

  #servicesOf(services: Workload['services']): Workload['services'] {
    let key = '';
    for (const [name, ports] of services) key += `${JSON.stringify(name)}${portsKey(ports)}`;
    const known = this.#services.find(key);
    if (known !== undefined) return known;
    const shared = new Map<string, PortMap>();
    for (const [name, ports] of services) shared.set(this.#text(name), this.#ports.take(portsKey(ports), ports));
    return this.#services.take(key, shared);
  }

  #gateway(gateway: GatewayAddress | null): GatewayAddress | null {
    if (gateway === null) return null;
    const { destination: to, hbonePort } = gateway;
    const name = to.is === 'hostname' ? [to.namespace, to.hostname] : [to.network, String(to.ip)];
    return this.#gateways.take(JSON.stringify([to.is, ...name, hbonePort]), gateway);
  }

  #locality(locality: Locality): Locality {
    return this.#localities.take(JSON.stringify([locality.region, locality.zone, locality.subzone]), locality);
  }
}

/**
 * Keys are JSON where parts are put together: two that differ must not share, whatever characters are in them. It starts
 * over when it is full: what is in use stays in use, and the next ones share among themselves.
 */
class Shared<Value> {
  readonly #known = new Map<string, Value>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  find(key: string): Value | undefined {
    return this.#known.get(key);
  }

  take(key: string, value: Value): Value {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= this.#max) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}

function portsKey(ports: PortMap): string {
  let key = '';
  for (const [port, target] of ports) key += `${port}>${target},`;
  return key;
}
