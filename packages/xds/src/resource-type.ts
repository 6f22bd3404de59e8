/** One type of resource on a delta stream: what of it was accepted, and how a response becomes an update. */
import { asAmbitError } from '@ambit/base/errors';
import type { DeltaDiscoveryResponse, Resource } from '@ambit/proto/discovery';
import type { Rejection, Update, Upsert } from './resource.ts';

export interface ResourceTypeOptions<Message> {
  readonly typeUrl: string;
  readonly isOnDemand: boolean;
  readonly decode: (bytes: Uint8Array) => Message;
  readonly deliver: (update: Update<Message>) => readonly Rejection[];
}

/** Without the type of the message, so that all types stand in one table. */
export interface AnyResourceType {
  readonly typeUrl: string;
  readonly isOnDemand: boolean;
  /** The version last accepted, by name; empty for a name that was asked for and has not come. */
  readonly retained: ReadonlyMap<string, string>;
  readonly wasAcknowledged: boolean;
  apply(response: DeltaDiscoveryResponse): Rejection[];
  acknowledged(): void;
  want(name: string): void;
}

export class ResourceType<Message> implements AnyResourceType {
  readonly typeUrl: string;
  readonly isOnDemand: boolean;
  readonly retained = new Map<string, string>();
  wasAcknowledged = false;
  readonly #options: ResourceTypeOptions<Message>;

  constructor(options: ResourceTypeOptions<Message>) {
    this.#options = options;
    this.typeUrl = options.typeUrl;
    this.isOnDemand = options.isOnDemand;
  }

  acknowledged(): void {
    this.wasAcknowledged = true;
  }

  want(name: string): void {
    if (!this.retained.has(name)) this.retained.set(name, '');
  }

  /**
   * The good are taken even where others are bad. A version is remembered only of what was accepted: for the rest the
   * server hears on the next stream what was there before, and sends it again.
   */
  apply(response: DeltaDiscoveryResponse): Rejection[] {
    const unreadable: Rejection[] = [];
    const upserts: Upsert<Message>[] = [];
    for (const resource of response.resources) {
      try {
        upserts.push(this.#upsert(resource));
      } catch (thrown) {
        unreadable.push({ name: resource.name, reason: asAmbitError(thrown).message });
      }
    }
    const refused = this.#options.deliver({ upserts, removedNames: response.removedResources });
    const rejections = [...unreadable, ...refused];
    const rejected = new Set(rejections.map(({ name }) => name));
    for (const { name, version } of response.resources) if (!rejected.has(name)) this.retained.set(name, version);
    for (const name of response.removedResources) this.retained.delete(name);
    return rejections;
  }

  #upsert({ name, resource }: Resource): Upsert<Message> {
    if (name === '') throw new Error('a resource without a name could never be removed');
    if (resource === undefined) throw new Error('no resource inside');
    if (resource.typeUrl !== this.typeUrl) throw new Error(`a ${resource.typeUrl} among ${this.typeUrl}`);
    return { name, message: this.#options.decode(resource.value), bytes: resource.value };
  }
}
