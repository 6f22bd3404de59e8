import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from './gen/envoy/service/discovery/v3/discovery.gen.ts';
import { AuthorizationSchema, Scope } from './gen/istio/security/authorization.gen.ts';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from './gen/istio/v1/auth/ca.gen.ts';
import { AddressSchema } from './gen/istio/workload/workload.gen.ts';
import {
  Version,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from './gen/istio/workload/zds/zds.gen.ts';

/** Written by hand from the numbers of Istio's and Envoy's fields, not by the code under test. */
describe('bytes on the wire', () => {
  vector('ZdsHello', ZdsHelloSchema, { version: Version.V1 }, '08 01');
  vector('ack', WorkloadResponseSchema, { payload: { case: 'ack', value: {} } }, '0a 00');
  vector(
    'ack with an error',
    WorkloadResponseSchema,
    { payload: { case: 'ack', value: { error: 'x' } } },
    '0a 03 0a 01 78',
  );
  vector(
    'add',
    WorkloadRequestSchema,
    { payload: { case: 'add', value: { uid: 'a', workloadInfo: { name: 'n', namespace: 'm', serviceAccount: 's' } } } },
    '0a 0e 0a 01 61 12 09 0a 01 6e 12 01 6d 1a 01 73',
  );
  vector(
    'keep has its uid in field 1',
    WorkloadRequestSchema,
    { payload: { case: 'keep', value: { uid: 'a' } } },
    '2a 03 0a 01 61',
  );
  vector(
    'del has its uid in field 2',
    WorkloadRequestSchema,
    { payload: { case: 'del', value: { uid: 'a' } } },
    '12 03 12 01 61',
  );
  vector('snapshot sent', WorkloadRequestSchema, { payload: { case: 'snapshotSent', value: {} } }, '1a 00');
  vector(
    'address of a workload',
    AddressSchema,
    { type: { case: 'workload', value: { uid: 'u' } } },
    '0a 04 a2 01 01 75',
  );
  vector(
    'address of a service',
    AddressSchema,
    { type: { case: 'service', value: { canonical: true, visibility: 1 } } },
    '12 04 58 01 70 01',
  );
  vector(
    'authorization',
    AuthorizationSchema,
    {
      name: 'p',
      scope: Scope.WORKLOAD_SELECTOR,
      action: 1,
      rules: [{ clauses: [{ matches: [{ notPrincipals: [{ matchType: { case: 'presence', value: {} } }] }] }] }],
      dryRun: true,
    },
    '0a 01 70 18 02 20 01 2a 08 0a 06 12 04 22 02 22 00 30 01',
  );
  vector(
    'delta request',
    DeltaDiscoveryRequestSchema,
    {
      node: { id: 'i' },
      typeUrl: 't',
      resourceNamesSubscribe: ['*'],
      resourceNamesUnsubscribe: ['*'],
      initialResourceVersions: { a: 'b' },
      responseNonce: 'n',
      errorDetail: { message: 'm' },
    },
    '0a 03 0a 01 69 12 01 74 1a 01 2a 22 01 2a 2a 06 0a 01 61 12 01 62 32 01 6e 3a 03 12 01 6d',
  );
  vector(
    'delta response',
    DeltaDiscoveryResponseSchema,
    { resources: [{ version: 'v', name: 'n', aliases: ['a'] }], typeUrl: 't', nonce: 'o', removedResources: ['r'] },
    '12 09 0a 01 76 1a 01 6e 22 01 61 22 01 74 2a 01 6f 32 01 72',
  );
  vector(
    'certificate request',
    IstioCertificateRequestSchema,
    { csr: 'c', validityDuration: 86_400n, metadata: { i: 's' } },
    '0a 01 63 18 80 a3 05 22 0a 0a 08 0a 01 69 12 03 1a 01 73',
  );
  vector('certificate response', IstioCertificateResponseSchema, { certChain: ['a', 'b'] }, '0a 01 61 0a 01 62');
});

function vector<Desc extends DescMessage>(name: string, schema: Desc, init: MessageInitShape<Desc>, hex: string): void {
  test(name, () => {
    const bytes = Uint8Array.fromHex(hex.replaceAll(' ', ''));
    const message = create(schema, init);
    assert.equal(toBinary(schema, message).toHex(), bytes.toHex());
    assert.deepEqual(fromBinary(schema, bytes), message);
  });
}
