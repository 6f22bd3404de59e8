import assert from 'node:assert/strict';
import test from 'node:test';
import { parseCidr, parseIpAddress } from '@ambit/model/ip-address';
import { generateRbacWorld, LOOPBACK_ADDRESSES, type RbacWorld } from './rbac-pairs.ts';
import { formatZtunnelFile } from './ztunnel-file.ts';

const DESTINATION = {
  namespace: 'shop',
  serviceAccount: 'target',
  name: 'target',
  addresses: [parseIpAddress('127.0.0.3')!, parseIpAddress('fd00::3')!],
  authorizationPolicies: ['shop/p'],
};

const WORKLOAD =
  'workloads:\n- {uid: "c//Pod/shop/target", name: "target", namespace: "shop", serviceAccount: "target", ' +
  'trustDomain: "cluster.local", clusterId: "Kubernetes", network: "", workloadIps: ["127.0.0.3", "fd00::3"], ' +
  'protocol: HBONE, node: "n1", services: {}, authorizationPolicies: ["shop/p"]}\n';

test('a world is written as the real ztunnel reads it', () => {
  const world: RbacWorld = {
    destination: DESTINATION,
    calls: [],
    policies: [
      { name: 'p', namespace: 'shop', scope: 'workload', action: 'DENY', dryRun: true, rules: [] },
      {
        name: 'q',
        namespace: 'root',
        scope: 'global',
        action: 'ALLOW',
        dryRun: false,
        rules: [
          { clauses: [] },
          {
            clauses: [
              { matches: [] },
              {
                matches: [
                  {},
                  {
                    principals: [{ is: 'exact', value: 'a "b"' }, { is: 'presence' }],
                    notNamespaces: [
                      { is: 'prefix', value: '' },
                      { is: 'suffix', value: '*' },
                    ],
                    serviceAccounts: [{ namespace: 'n', serviceAccount: 's' }],
                    sourceIps: [parseCidr('10.0.0.1/8')!, parseCidr('fd00::/16')!],
                    notDestinationPorts: [1, 65_535],
                  },
                ],
              },
            ],
          },
        ],
      },
    ],
  };
  assert.equal(
    formatZtunnelFile(world),
    `${WORKLOAD}policies:\n` +
      '- {name: "p", namespace: "shop", scope: WorkloadSelector, action: Deny, dryRun: true, rules: []}\n' +
      '- {name: "q", namespace: "root", scope: Global, action: Allow, dryRun: false, rules: [[], [[], [{}, ' +
      '{principals: [!Exact "a \\"b\\"", !Presence []], notNamespaces: [!Prefix "", !Suffix "*"], ' +
      'serviceAccounts: [{namespace: "n", serviceAccount: "s"}], sourceIps: ["10.0.0.1/8", "fd00::/16"], ' +
      'notDestinationPorts: [1, 65535]}]]]}\n',
  );
});

test('a world without policies says so', () => {
  const file = formatZtunnelFile({ destination: DESTINATION, calls: [], policies: [] });
  assert.equal(file, `${WORKLOAD}policies: []\n`);
});

test('the same seed gives the same world, another seed another', () => {
  const fileOf = (seed: number): string => formatZtunnelFile(generateRbacWorld(seed, LOOPBACK_ADDRESSES));
  assert.equal(fileOf(7), fileOf(7));
  assert.notEqual(fileOf(7), fileOf(8));
});
