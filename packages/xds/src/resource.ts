/** What a stream of resources brings, in the words of who takes it. */
import type { Authorization } from '@ambit/proto/security';
import type { Address } from '@ambit/proto/workload';

export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address';
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization';

export interface Upsert<Message> {
  readonly name: string;
  readonly message: Message;
  /** The same, as it came: to be passed on or kept without encoding it again. */
  readonly bytes: Uint8Array;
}

/** Of one response: take the upserts in their order, then the removals. */
export interface Update<Message> {
  readonly upserts: readonly Upsert<Message>[];
  readonly removedNames: readonly string[];
}

export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

/** Takes what it can and returns the rest with reasons: what was refused before stays as it was. */
export interface XdsConsumer {
  /** A removed name is a workload's uid or a service's `namespace/hostname`. */
  onAddresses(update: Update<Address>): readonly Rejection[];
  onAuthorizations(update: Update<Authorization>): readonly Rejection[];
}
