import assert from 'node:assert/strict';
import test from 'node:test';
import type { ZdsRequest } from '@ambit/wire/zds';
import { ZdsSession } from './zds-session.ts';

const POD = { name: 'n', namespace: 'm', serviceAccount: 's' };
const add = (uid: string): ZdsRequest => ({ kind: 'add', uid, pod: POD });
const keep = (uid: string): ZdsRequest => ({ kind: 'keep', uid });
const del = (uid: string): ZdsRequest => ({ kind: 'del', uid });
const SENT: ZdsRequest = { kind: 'snapshot-sent' };

/** What the last request means after those before it. */
const TABLE: readonly (readonly [title: string, requests: readonly ZdsRequest[], step: unknown])[] = [
  ['an add is run', [add('a')], { step: 'run', uid: 'a', pod: POD }],
  ['an add after the snapshot is run', [SENT, add('a')], { step: 'run', uid: 'a', pod: POD }],
  ['a keep before the snapshot starts nothing', [keep('a')], { step: 'keep' }],
  [
    'a keep after the snapshot breaks the protocol',
    [SENT, keep('a')],
    { step: 'violation', reason: 'pod received keep after snapshot' },
  ],
  ['a del before the snapshot only forgets', [add('a'), del('a')], { step: 'forget', uid: 'a' }],
  ['a del after the snapshot stops', [add('a'), SENT, del('a')], { step: 'stop', uid: 'a' }],
  ['a del of what was never named is no fault', [SENT, del('x')], { step: 'stop', uid: 'x' }],
  [
    'the snapshot names what was added and kept, and not what was deleted',
    [add('a'), keep('b'), add('c'), keep('d'), del('c'), del('d'), add('a'), SENT],
    { step: 'reconcile', named: new Set(['a', 'b']) },
  ],
  [
    'a pod that was added again after its del is named',
    [add('a'), del('a'), add('a'), SENT],
    { step: 'reconcile', named: new Set(['a']) },
  ],
  ['an empty snapshot names nothing', [SENT], { step: 'reconcile', named: new Set() }],
  [
    'a second snapshot breaks the protocol',
    [SENT, add('a'), SENT],
    { step: 'violation', reason: 'pod snapshot received already' },
  ],
];

for (const [title, requests, step] of TABLE) {
  test(title, () => {
    const session = new ZdsSession();
    const steps = requests.map((request) => session.take(request));
    assert.deepEqual(steps.at(-1), step);
    assert.equal(session.snapshotReceived, requests.includes(SENT));
  });
}
