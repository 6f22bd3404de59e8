import assert from 'node:assert/strict';
import test from 'node:test';
import { type FoundRecord, planReconcile, type ReconcileAction, type WantedPod } from './reconcile.ts';
import type { EnrolledRecord, Mechanism } from './state-file.ts';

const wanted = (uid: string, inode: number | null): WantedPod => {
  return { uid, identity: inode === null ? null : { inode, device: 4 } };
};
const record = (uid: string, inode: number, mechanism: Mechanism = 'nftables'): EnrolledRecord => {
  return { uid, inode, device: 4, path: `/run/netns/${uid}`, mechanism };
};
const found = (of: EnrolledRecord): FoundRecord => ({ record: of, reachable: true });
const lost = (of: EnrolledRecord): FoundRecord => ({ record: of, reachable: false });

const A1 = record('a', 1);
const OLD_A1 = record('a', 1, 'iptables');

const TABLE: readonly (readonly [
  title: string,
  wanted: readonly WantedPod[],
  found: readonly FoundRecord[],
  actions: readonly ReconcileAction[],
])[] = [
  ['nothing of nothing is nothing', [], [], []],
  ['a new pod is enrolled', [wanted('a', 1)], [], [{ do: 'enrol', uid: 'a', hasRules: false }]],
  ['a pod that was enrolled is taken over', [wanted('a', 1)], [found(A1)], [{ do: 'enrol', uid: 'a', hasRules: true }]],
  [
    'also when the path of before leads nowhere and the new one does',
    [wanted('a', 1)],
    [lost(A1)],
    [{ do: 'enrol', uid: 'a', hasRules: true }],
  ],
  ['what nobody wants any more is cleaned', [], [found(A1)], [{ do: 'clean', record: A1, owner: null }]],
  ['a namespace that is gone is forgotten', [], [lost(A1)], [{ do: 'forget', record: A1 }]],
  [
    'a wanted pod that is not to be found is kept, with its rules',
    [wanted('a', null)],
    [found(A1)],
    [{ do: 'keep', uid: 'a' }],
  ],
  [
    'a wanted pod whose namespace is gone is kept, and the record forgotten',
    [wanted('a', null)],
    [lost(A1)],
    [
      { do: 'keep', uid: 'a' },
      { do: 'forget', record: A1 },
    ],
  ],
  [
    'a pod in another namespace is enrolled there, and the old one cleaned',
    [wanted('a', 2)],
    [found(A1)],
    [
      { do: 'enrol', uid: 'a', hasRules: false },
      { do: 'clean', record: A1, owner: null },
    ],
  ],
  [
    'a namespace that changed hands is the new pod’s, with what is in it',
    [wanted('b', 1)],
    [found(A1)],
    [{ do: 'enrol', uid: 'b', hasRules: true }],
  ],
  [
    'rules of another mechanism are cleaned once the new ones stand',
    [wanted('a', 1)],
    [found(OLD_A1)],
    [
      { do: 'enrol', uid: 'a', hasRules: false },
      { do: 'clean', record: OLD_A1, owner: 'a' },
    ],
  ],
  [
    'pods come first, then what is cleaned, then what is forgotten',
    [wanted('c', 3), wanted('d', null)],
    [lost(record('x', 8)), found(record('y', 9)), found(record('c', 3))],
    [
      { do: 'enrol', uid: 'c', hasRules: true },
      { do: 'keep', uid: 'd' },
      { do: 'clean', record: record('y', 9), owner: null },
      { do: 'forget', record: record('x', 8) },
    ],
  ],
];

for (const [title, pods, records, actions] of TABLE) {
  test(title, () => assert.deepEqual(planReconcile(pods, records, 'nftables'), actions));
}

test('the same inode on another device is another namespace', () => {
  const actions = planReconcile([wanted('a', 1)], [found({ ...A1, device: 5 })], 'nftables');
  assert.deepEqual(
    actions.map((action) => action.do),
    ['enrol', 'clean'],
  );
});
