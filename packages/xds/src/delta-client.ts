/**
 * The client's side of delta xDS as Istio's ztunnel speaks it (ztunnel facts 1.5), without stream, time or waiting:
 * responses go in, requests come out. What was accepted is remembered by name and version across streams, so that a new
 * one begins where the last ended.
 */
import type { Log } from '@ambit/base/log';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '@ambit/proto/discovery';
import type { Node } from '@ambit/proto/node';
import { create, fromBinary } from '@ambit/proto/protobuf';
import { AuthorizationSchema } from '@ambit/proto/security';
import { AddressSchema } from '@ambit/proto/workload';
import { REJECTIONS_NAMED_MAX } from './limits.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type Rejection, type XdsConsumer } from './resource.ts';
import { type AnyResourceType, ResourceType } from './resource-type.ts';

export interface DeltaClientOptions {
  readonly node: Node;
  /** Addresses are asked for by name; authorizations always come all (XDS_ON_DEMAND). */
  readonly onDemand: boolean;
}

export interface DeltaClientDeps {
  readonly consumer: XdsConsumer;
  readonly log: Log;
}

/** A response that has been applied and is yet to be acknowledged. */
export interface Reply {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Not empty: a NACK. */
  readonly rejections: readonly Rejection[];
  /** Of a type on demand: the names that this response answered, with a resource or with its absence. */
  readonly answeredNames: readonly string[];
}

export class DeltaClient {
  readonly #options: DeltaClientOptions;
  readonly #log: Log;
  /** In the order of their first requests. */
  readonly #types: ReadonlyMap<string, AnyResourceType>;

  constructor(options: DeltaClientOptions, { consumer, log }: DeltaClientDeps) {
    this.#options = options;
    this.#log = log;
    const addresses = new ResourceType({
      typeUrl: ADDRESS_TYPE,
      isOnDemand: options.onDemand,
      decode: (bytes) => fromBinary(AddressSchema, bytes),
      deliver: (update) => consumer.onAddresses(update),
    });
    const authorizations = new ResourceType({
      typeUrl: AUTHORIZATION_TYPE,
      isOnDemand: false,
      decode: (bytes) => fromBinary(AuthorizationSchema, bytes),
      deliver: (update) => consumer.onAuthorizations(update),
    });
    this.#types = new Map([addresses, authorizations].map<[string, AnyResourceType]>((type) => [type.typeUrl, type]));
  }

  /** Once every type that comes as a whole was taken whole. It stays so. */
  get isReady(): boolean {
    return [...this.#types.values()].every((type) => type.isOnDemand || type.wasAcknowledged);
  }

  /** What to send first on each new stream. */
  open(): DeltaDiscoveryRequest[] {
    return [...this.#types.values()].map(({ typeUrl, isOnDemand, retained }) => {
      // Nothing in both lists means all, and there is no other way to ask for none (yet) than to ask and take it back.
      const names = isOnDemand ? ['*'] : [];
      return create(DeltaDiscoveryRequestSchema, {
        node: this.#options.node,
        typeUrl,
        resourceNamesSubscribe: names,
        resourceNamesUnsubscribe: names,
        initialResourceVersions: Object.fromEntries(retained),
      });
    });
  }

  /** Applies a response. Throws only what the consumer throws, and then nothing of it is remembered. */
  receive(response: DeltaDiscoveryResponse): Reply {
    const { typeUrl, nonce } = response;
    const type = this.#types.get(typeUrl);
    if (type === undefined) {
      this.#log.error('resources of an unknown type', { type_url: typeUrl, resources: response.resources.length });
      return { typeUrl, nonce, rejections: [], answeredNames: [] };
    }
    const rejections = type.apply(response);
    if (rejections.length > 0) {
      this.#log.warn('resources refused', { type_url: typeUrl, nonce, reasons: describe(rejections) });
    }
    const answeredNames = type.isOnDemand
      ? [...response.resources.map(({ name }) => name), ...response.removedResources]
      : [];
    return { typeUrl, nonce, rejections, answeredNames };
  }

  /** The ACK or NACK. To be made once the whole process acts on what was applied: readiness follows from it. */
  acknowledge({ typeUrl, nonce, rejections }: Reply): DeltaDiscoveryRequest {
    if (rejections.length === 0) this.#types.get(typeUrl)?.acknowledged();
    return create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      responseNonce: nonce,
      ...(rejections.length === 0 ? {} : { errorDetail: { message: describe(rejections) } }),
    });
  }

  /**
   * Asks for an address: `network/ip`, `namespace/hostname`, or a workload's uid. Without a stream keep the request
   * back: `open` then asks for the name.
   */
  demand(name: string): DeltaDiscoveryRequest {
    const type = this.#types.get(ADDRESS_TYPE) as AnyResourceType;
    type.want(name);
    return create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: [name] });
  }
}

function describe(rejections: readonly Rejection[]): string {
  const named = rejections.slice(0, REJECTIONS_NAMED_MAX).map(({ name, reason }) => `${name}: ${reason}`);
  const unnamed = rejections.length - named.length;
  return [...named, ...(unnamed > 0 ? [`and ${unnamed} more`] : [])].join('; ');
}
