import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ip, workload } from './mesh.fixture.ts';
import { SharedParts } from './shared-parts.ts';

const ports = fc.array(fc.tuple(fc.constantFrom(80, 81), fc.constantFrom(1, 2)), { maxLength: 2 });
const words = fc.constantFrom('', 'a', 'b', 'a\nb', 'a","b');
const gateways = fc.option(
  fc.record({
    destination: fc.oneof(
      fc.record({
        case: fc.constant('hostname' as const),
        value: fc.record({ namespace: words, hostname: fc.constantFrom('a', '10.0.0.1') }),
      }),
      fc.record({
        case: fc.constant('address' as const),
        value: fc.record({
          network: words,
          address: fc.constantFrom(ip('10.0.0.1').toBytes(), ip('fd00::1').toBytes()),
        }),
      }),
    ),
    hboneMtlsPort: fc.constantFrom(15008, 15009),
  }),
  { nil: undefined },
);
const workloads = fc
  .record({
    namespace: words,
    hostname: words,
    network: words,
    serviceAccount: words,
    node: words,
    workloadName: words,
    authorizationPolicies: fc.array(words, { maxLength: 2 }),
    services: fc.dictionary(fc.constantFrom('n/a', 'n/b', 'n/a80>1,', 'n/a\nn/b'), ports),
    locality: fc.record({ region: words, zone: words, subzone: words }),
    waypoint: gateways,
    networkGateway: gateways,
  })
  .map(({ waypoint, networkGateway, ...given }) =>
    workload('u', {
      ...given,
      ...(waypoint === undefined ? {} : { waypoint }),
      ...(networkGateway === undefined ? {} : { networkGateway }),
    }),
  );

test('what is kept says the same as what was given, whatever came before and however little room there is', () => {
  fc.assert(
    fc.property(
      fc.array(workloads, { minLength: 1, maxLength: 20 }),
      fc.constantFrom(1, 2, 1000),
      (given, partsMax) => {
        const parts = new SharedParts(partsMax);
        for (const one of given) assert.deepEqual(parts.workload(one), one);
      },
    ),
    { numRuns: 300 },
  );
});

test('what two workloads have in common is kept once', () => {
  const given = () =>
    workload('u', {
      services: { 'n/a': [[80, 1]], 'n/b': [[80, 1]] },
      authorizationPolicies: ['n/p'],
      locality: { region: 'r', zone: 'z' },
      waypoint: { destination: { case: 'hostname', value: { namespace: 'n', hostname: 'w' } }, hboneMtlsPort: 15008 },
    });
  const parts = new SharedParts(10);
  const [one, other] = [parts.workload(given()), parts.workload(given())];
  assert.equal(one.services, other.services);
  assert.equal(one.services.get('n/a'), other.services.get('n/b'));
  assert.equal(one.authorizationPolicies, other.authorizationPolicies);
  assert.equal(one.locality, other.locality);
  assert.equal(one.waypoint, other.waypoint);
});
