/** Workloads and services for tests, as a control plane would send them; and timers that go when they are told. */
import { ManualClock } from '@ambit/base/clock';
import { TimerWheel } from '@ambit/base/timer-wheel';
import { type DecodedAddress, decodeAddress } from '@ambit/model/decode-address';
import { type IpAddress, parseIpAddress } from '@ambit/model/ip-address';
import type { Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import { create, type MessageInitShape } from '@ambit/proto/protobuf';
import { AddressSchema, type ServiceSchema, type WorkloadSchema } from '@ambit/proto/workload';
import { MeshState, type MeshStateOptions } from './mesh-state.ts';
import type { Timers } from './wait-list.ts';

export const ip = (text: string): IpAddress => parseIpAddress(text)!;

type WorkloadInit = Omit<MessageInitShape<typeof WorkloadSchema>, 'addresses' | 'services' | '$typeName'>;
type Ports = readonly (readonly [number, number])[];

export interface WorkloadGiven extends WorkloadInit {
  readonly ips?: readonly string[];
  readonly services?: Readonly<Record<string, Ports>>;
}

/** Of namespace `shop` unless told otherwise; its name is the last part of the uid. */
export function workload(uid: string, { ips = [], services = {}, ...given }: WorkloadGiven = {}): Workload {
  const init = {
    uid,
    name: uid.slice(uid.lastIndexOf('/') + 1),
    namespace: 'shop',
    addresses: ips.map((text) => ip(text).toBytes()),
    services: Object.fromEntries(Object.entries(services).map(([key, ports]) => [key, { ports: portsInit(ports) }])),
    ...given,
  };
  const decoded = decodeAddress(create(AddressSchema, { type: { case: 'workload', value: init } }));
  return (decoded as DecodedAddress & { is: 'workload' }).workload;
}

type ServiceInit = Omit<MessageInitShape<typeof ServiceSchema>, 'addresses' | 'ports' | '$typeName'>;

export interface ServiceGiven extends ServiceInit {
  /** `10.0.0.1`, `10.0.0.0/8`, `network|10.0.0.1`. */
  readonly vips?: readonly string[];
  readonly ports?: Ports;
}

/** `namespace/hostname`, as workloads name it. */
export function service(key: string, { vips = [], ports = [[80, 8080]], ...given }: ServiceGiven = {}): Service {
  const slash = key.indexOf('/');
  const hostname = key.slice(slash + 1);
  const init = {
    name: hostname,
    namespace: key.slice(0, slash),
    hostname,
    addresses: vips.map(vipInit),
    ports: portsInit(ports),
    ...given,
  };
  const decoded = decodeAddress(create(AddressSchema, { type: { case: 'service', value: init } }));
  return (decoded as DecodedAddress & { is: 'service' }).service;
}

function portsInit(ports: Ports) {
  return ports.map(([servicePort, targetPort]) => ({ servicePort, targetPort }));
}

function vipInit(text: string) {
  const [address = '', network = ''] = text.split('|').toReversed();
  const [host = '', length] = address.split('/');
  const block = length === undefined ? {} : { length: Number(length) };
  return { network, address: ip(host).toBytes(), ...block };
}

/** One update with all of these; names are removed after that. */
export function apply(state: MeshState, given: readonly (Workload | Service)[], ...removedNames: readonly string[]) {
  return state.applyAddresses({ upserts: given.map(decoded), removedNames });
}

export function decoded(given: Workload | Service): DecodedAddress {
  return 'uid' in given ? { is: 'workload', workload: given } : { is: 'service', service: given };
}

export function meshOf(given: readonly (Workload | Service)[], options: MeshStateOptions = { localNode: null }) {
  const state = new MeshState(options);
  apply(state, given);
  return state;
}

export class ManualTimers implements Timers {
  readonly #clock = new ManualClock();
  readonly #wheel = new TimerWheel(this.#clock);

  after(delayMs: number, callback: () => void) {
    return this.#wheel.schedule(delayMs, callback);
  }

  get waiting(): number {
    return this.#wheel.size;
  }

  advance(byMs: number): void {
    this.#clock.advance(byMs);
    this.#wheel.advance(this.#clock.nowMs());
  }
}
