import assert from 'node:assert/strict';
import test from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import type { NetworkNamespace } from './network-namespace.ts';
import { checkOwnership, PodSet } from './pods.ts';

const POD = { name: 'n', namespace: 'm', serviceAccount: 's' };
const NODE = { inode: 100, device: 4 };

function network(inode: number): NetworkNamespace & { closed: boolean } {
  return {
    path: `/run/netns/${inode}`,
    fd: inode + 1000,
    identity: { inode, device: 4 },
    closed: false,
    close() {
      assert.equal(this.closed, false, 'closed once');
      this.closed = true;
    },
  };
}

function code(expected: string) {
  return (error: unknown) => error instanceof AmbitError && error.code === expected && error.hint !== undefined;
}

test('a pod is known with its names and its descriptor', () => {
  const pods = new PodSet();
  pods.put({ uid: 'a', ...POD, network: network(1) });
  pods.put({ uid: 'b', ...POD, network: null });
  assert.deepEqual(pods.get('a'), { uid: 'a', ...POD, namespaceFd: 1001 });
  assert.deepEqual(pods.get('b'), { uid: 'b', ...POD, namespaceFd: null });
  assert.equal(pods.get('c'), undefined);
  assert.deepEqual(pods.uids(), ['a', 'b']);
});

test('a namespace is closed when its pod goes or gets another', () => {
  const pods = new PodSet();
  const [first, second] = [network(1), network(1)];
  pods.put({ uid: 'a', ...POD, network: first });
  pods.put({ uid: 'a', ...POD, network: first });
  assert.equal(first.closed, false);
  pods.put({ uid: 'a', ...POD, network: second });
  assert.equal(first.closed, true);
  pods.delete('a');
  pods.delete('a');
  assert.equal(second.closed, true);
  assert.equal(pods.size, 0);
});

test('a namespace has one pod, until that one goes', () => {
  const pods = new PodSet();
  pods.put({ uid: 'a', ...POD, network: network(1) });
  const contested = network(1);
  assert.throws(() => pods.put({ uid: 'b', ...POD, network: contested }), code('POD_NAMESPACE_TAKEN'));
  assert.equal(contested.closed, false);
  assert.equal(pods.has('b'), false);
  pods.delete('a');
  pods.put({ uid: 'b', ...POD, network: contested });
});

const OWNERSHIP: readonly (readonly [
  title: string,
  ips: readonly string[],
  found: readonly string[],
  inode: number,
  refusal: string | null,
])[] = [
  ['has the address of the pod', ['10.0.0.1'], ['10.0.0.1'], 1, null],
  ['has one of several', ['10.0.0.1', 'fd00::1'], ['fd00::1', '10.9.9.9'], 1, null],
  ['has it in another spelling', ['FD00:0::1'], ['fd00::1'], 1, null],
  ['has the address of another pod', ['10.0.0.1'], ['10.0.0.2'], 1, 'POD_ADDRESS_MISMATCH'],
  ['has none', ['10.0.0.1'], [], 1, 'POD_ADDRESS_MISMATCH'],
  ['has some, but the pod has none', [], ['10.0.0.1'], 1, 'POD_WITHOUT_ADDRESS'],
  ['is of the node', ['10.0.0.1'], ['10.0.0.1'], 100, 'POD_HOST_NETWORK'],
  ['is of a pod that is enrolled', ['10.0.0.1'], ['10.0.0.1'], 2, 'POD_NAMESPACE_TAKEN'],
];
for (const [title, ips, found, inode, refusal] of OWNERSHIP) {
  test(`a namespace that ${title} is ${refusal === null ? 'the pod’s' : `refused: ${refusal}`}`, async () => {
    const pods = new PodSet();
    pods.put({ uid: 'other', ...POD, network: network(2) });
    const deps = { pods, ownIdentity: NODE, readAddresses: () => Promise.resolve(found) };
    const check = checkOwnership('a', ips, network(inode), deps);
    if (refusal === null) await check;
    else await assert.rejects(check, code(refusal));
  });
}
