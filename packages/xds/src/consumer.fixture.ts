/** A consumer that keeps what it is given by name, and refuses a workload or policy whose namespace is `bad`. */

import { type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from '@ambit/proto/discovery';
import { create, toBinary } from '@ambit/proto/protobuf';
import { AuthorizationSchema } from '@ambit/proto/security';
import { AddressSchema } from '@ambit/proto/workload';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type Rejection, type Update, type XdsConsumer } from './resource.ts';

export class KeepingConsumer implements XdsConsumer {
  /** Name to mark, the name inside of the message. */
  readonly addresses = new Map<string, string>();
  readonly authorizations = new Map<string, string>();

  onAddresses(update: Parameters<XdsConsumer['onAddresses']>[0]): Rejection[] {
    return keep(this.addresses, update, ({ type }) =>
      type.case === 'workload' ? { mark: type.value.name, isBad: type.value.namespace === 'bad' } : null,
    );
  }

  onAuthorizations(update: Parameters<XdsConsumer['onAuthorizations']>[0]): Rejection[] {
    return keep(this.authorizations, update, ({ name, namespace }) => ({ mark: name, isBad: namespace === 'bad' }));
  }
}

function keep<M>(
  kept: Map<string, string>,
  { upserts, removedNames }: Update<M>,
  look: (message: M) => { mark: string; isBad: boolean } | null,
): Rejection[] {
  const rejections: Rejection[] = [];
  for (const { name, message } of upserts) {
    const seen = look(message);
    if (seen === null) rejections.push({ name, reason: 'no workload' });
    else if (seen.isBad) rejections.push({ name, reason: 'bad namespace' });
    else kept.set(name, seen.mark);
  }
  for (const name of removedNames) kept.delete(name);
  return rejections;
}

/** `bad`: read, and refused by the consumer. `broken`: no protobuf. */
export type Quality = 'good' | 'bad' | 'broken';

export interface Made {
  readonly name: string;
  readonly mark: string;
  readonly quality?: Quality;
  readonly version?: string;
}

const BROKEN = Uint8Array.of(0xff);

export function encode(typeUrl: string, { mark, quality = 'good' }: Made): Uint8Array {
  if (quality === 'broken') return BROKEN;
  const namespace = quality === 'bad' ? 'bad' : 'good';
  if (typeUrl === AUTHORIZATION_TYPE) {
    return toBinary(AuthorizationSchema, create(AuthorizationSchema, { name: mark, namespace }));
  }
  const type = { case: 'workload', value: { name: mark, namespace } } as const;
  return toBinary(AddressSchema, create(AddressSchema, { type }));
}

export function respond(
  typeUrl: string,
  nonce: string,
  made: readonly Made[],
  removedResources: string[] = [],
): DeltaDiscoveryResponse {
  const resources = made.map((one) => ({
    name: one.name,
    version: one.version ?? '',
    resource: { typeUrl, value: encode(typeUrl, one) },
  }));
  return create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources, removedResources });
}

export const addresses = respond.bind(null, ADDRESS_TYPE);
export const authorizations = respond.bind(null, AUTHORIZATION_TYPE);
