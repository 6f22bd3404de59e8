import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { silentLog } from '@ambit/base/log';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '@ambit/proto/discovery';
import { create } from '@ambit/proto/protobuf';
import { addresses, authorizations, KeepingConsumer, respond } from './consumer.fixture.ts';
import { DeltaClient } from './delta-client.ts';
import { ztunnelNode } from './node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type XdsConsumer } from './resource.ts';

const node = ztunnelNode({ podName: 'zt', podNamespace: 'sys', nodeName: 'n' });

function start({ onDemand = false, consumer = new KeepingConsumer() as XdsConsumer } = {}) {
  const client = new DeltaClient({ node, onDemand }, { consumer, log: silentLog });
  const answer = (response: DeltaDiscoveryResponse): DeltaDiscoveryRequest =>
    client.acknowledge(client.receive(response));
  return { client, answer };
}

/** What of a request is not empty. */
function shown(request: DeltaDiscoveryRequest): object {
  const full = {
    type: request.typeUrl,
    node: request.node?.id,
    subscribe: request.resourceNamesSubscribe,
    unsubscribe: request.resourceNamesUnsubscribe,
    versions: request.initialResourceVersions,
    nonce: request.responseNonce,
    error: request.errorDetail?.message,
  };
  const isEmpty = (value: unknown): boolean =>
    value === undefined || value === '' || Object.keys(value as object).length === 0;
  return Object.fromEntries(Object.entries(full).filter(([, value]) => !isEmpty(value)));
}

describe('a session', () => {
  test('wildcard: both types are asked for with the node, each response is acknowledged, then it is ready', () => {
    const { client, answer } = start();
    assert.deepEqual(client.open().map(shown), [
      { type: ADDRESS_TYPE, node: node.id },
      { type: AUTHORIZATION_TYPE, node: node.id },
    ]);
    const first = addresses('n1', [{ name: 'a', mark: '1', version: 'v1' }]);
    assert.deepEqual(shown(answer(first)), { type: ADDRESS_TYPE, nonce: 'n1' });
    assert.equal(client.isReady, false);
    assert.deepEqual(shown(answer(authorizations('n2', []))), { type: AUTHORIZATION_TYPE, nonce: 'n2' });
    assert.equal(client.isReady, true);
  });

  test('reconnect: what was kept is named with its version, what was removed is not, readiness stays', () => {
    const { client, answer } = start();
    client.open();
    answer(
      addresses(
        'n1',
        ['a', 'b', 'c'].map((name) => ({ name, mark: '1', version: `v-${name}` })),
      ),
    );
    answer(authorizations('n2', [{ name: 'p', mark: '1' }]));
    answer(addresses('n3', [{ name: 'a', mark: '2', version: 'v2' }], ['b', 'unknown']));
    assert.deepEqual(client.open().map(shown), [
      { type: ADDRESS_TYPE, node: node.id, versions: { a: 'v2', c: 'v-c' } },
      { type: AUTHORIZATION_TYPE, node: node.id, versions: { p: '' } },
    ]);
    assert.equal(client.isReady, true);
  });

  test('on demand: addresses begin with nothing, authorizations with all, which alone makes it ready', () => {
    const { client, answer } = start({ onDemand: true });
    assert.deepEqual(client.open().map(shown), [
      { type: ADDRESS_TYPE, node: node.id, subscribe: ['*'], unsubscribe: ['*'] },
      { type: AUTHORIZATION_TYPE, node: node.id },
    ]);
    answer(authorizations('n1', []));
    assert.equal(client.isReady, true);
  });

  test('on demand: a name is asked for without node and nonce, and asked for again on the next stream', () => {
    const { client, answer } = start({ onDemand: true });
    client.open();
    assert.deepEqual(shown(client.demand('net/10.0.0.1')), { type: ADDRESS_TYPE, subscribe: ['net/10.0.0.1'] });
    const again = { type: ADDRESS_TYPE, node: node.id, subscribe: ['*'], unsubscribe: ['*'] };
    assert.deepEqual(shown(client.open()[0]!), { ...again, versions: { 'net/10.0.0.1': '' } });
    answer(addresses('n1', [{ name: 'net/10.0.0.1', mark: '1', version: 'v1' }]));
    client.demand('net/10.0.0.1');
    assert.deepEqual(shown(client.open()[0]!), { ...again, versions: { 'net/10.0.0.1': 'v1' } });
  });

  test('on demand: a resource, a refused one and an absent one all answer the names that were asked for', () => {
    const { client } = start({ onDemand: true });
    for (const name of ['a', 'b', 'c']) client.demand(name);
    const bad = { name: 'b', mark: '1', quality: 'bad' } as const;
    const reply = client.receive(addresses('n1', [{ name: 'a', mark: '1', version: 'v' }, bad], ['c']));
    assert.deepEqual(reply.answeredNames, ['a', 'b', 'c']);
    assert.deepEqual(client.open()[0]?.initialResourceVersions, { a: 'v', b: '' });
    assert.deepEqual(client.receive(authorizations('n2', [{ name: 'p', mark: '1' }])).answeredNames, []);
  });
});

describe('a refusal', () => {
  test('is partial: the good are taken, the bad are named with their reasons and keep their last version', () => {
    const consumer = new KeepingConsumer();
    const { client, answer } = start({ consumer });
    answer(addresses('n1', [{ name: 'a', mark: '1', version: 'v1' }]));
    const nack = answer(
      addresses('n2', [
        { name: 'a', mark: '2', version: 'v2', quality: 'bad' },
        { name: 'b', mark: '2', version: 'v2' },
        { name: 'c', mark: '2', version: 'v2', quality: 'broken' },
      ]),
    );
    assert.equal(nack.responseNonce, 'n2');
    assert.equal(nack.errorDetail?.code, 0);
    assert.match(nack.errorDetail?.message ?? '', /^c: [^;]+; a: bad namespace$/);
    assert.deepEqual(Object.fromEntries(consumer.addresses), { a: '1', b: '2' });
    assert.deepEqual(client.open()[0]?.initialResourceVersions, { a: 'v1', b: 'v2' });
  });

  test('of the first response does not count for readiness, a later acknowledgement does', () => {
    const { client, answer } = start();
    answer(addresses('n1', []));
    answer(authorizations('n2', [{ name: 'p', mark: '1', quality: 'bad' }]));
    assert.equal(client.isReady, false);
    answer(authorizations('n3', []));
    assert.equal(client.isReady, true);
  });

  test('readiness follows the acknowledgement and not the arrival', () => {
    const { client } = start();
    const replies = [client.receive(addresses('n1', [])), client.receive(authorizations('n2', []))];
    assert.equal(client.isReady, false);
    for (const reply of replies) client.acknowledge(reply);
    assert.equal(client.isReady, true);
  });

  test('meets a resource of another type, without content or without a name', () => {
    const { answer } = start();
    const value = { typeUrl: AUTHORIZATION_TYPE, value: new Uint8Array() };
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl: ADDRESS_TYPE,
      nonce: 'n',
      resources: [
        { name: 'a', resource: value },
        { name: 'b' },
        { name: '', resource: { ...value, typeUrl: ADDRESS_TYPE } },
      ],
    });
    assert.match(answer(response).errorDetail?.message ?? '', /^a: a .+Authorization among .+; b: no .+; : a resource/);
  });

  test('of very many names a hundred and counts the rest', () => {
    const { answer } = start();
    const made = Array.from({ length: 150 }, (_, i) => ({ name: `n${i}`, mark: '', quality: 'bad' as const }));
    const message = answer(addresses('n', made)).errorDetail?.message ?? '';
    assert.equal(message.split('; ').length, 101);
    assert.match(message, /; and 50 more$/);
  });
});

describe('what is odd', () => {
  test('an unknown type is acknowledged and changes nothing', () => {
    const { client, answer } = start();
    const ack = answer(respond('type.googleapis.com/other', 'n9', [{ name: 'a', mark: '1' }]));
    assert.deepEqual(
      ack,
      create(DeltaDiscoveryRequestSchema, { typeUrl: 'type.googleapis.com/other', responseNonce: 'n9' }),
    );
    assert.deepEqual(client.open()[0]?.initialResourceVersions, {});
  });

  test('a name that is updated and removed in one response is gone', () => {
    const consumer = new KeepingConsumer();
    const { client, answer } = start({ consumer });
    answer(addresses('n1', [{ name: 'a', mark: '1', version: 'v' }], ['a']));
    assert.equal(consumer.addresses.size, 0);
    assert.deepEqual(client.open()[0]?.initialResourceVersions, {});
  });

  test('when the consumer throws nothing is remembered, so that the next stream brings it again', () => {
    const consumer = new KeepingConsumer();
    const broken: XdsConsumer = {
      onAddresses: () => {
        throw new Error('out of memory');
      },
      onAuthorizations: (update) => consumer.onAuthorizations(update),
    };
    const { client } = start({ consumer: broken });
    assert.throws(() => client.receive(addresses('n1', [{ name: 'a', mark: '1', version: 'v' }])), /out of memory/);
    assert.deepEqual(client.open()[0]?.initialResourceVersions, {});
  });

  test('the consumer gets the bytes as they came beside the message', () => {
    const seen: Uint8Array[] = [];
    const consumer: XdsConsumer = {
      onAddresses: ({ upserts }) => {
        seen.push(...upserts.map(({ bytes }) => bytes));
        return [];
      },
      onAuthorizations: () => [],
    };
    const response = addresses('n1', [{ name: 'a', mark: '1' }]);
    start({ consumer }).answer(response);
    assert.deepEqual(seen, [response.resources[0]?.resource?.value]);
  });
});
