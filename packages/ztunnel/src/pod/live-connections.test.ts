import assert from 'node:assert/strict';
import test from 'node:test';
import { type Call, makeCall } from '@ambit/model/call';
import type { Policy } from '@ambit/model/policy';
import { PolicySet } from '@ambit/model/policy-set';
import { MemoryNetwork } from '@ambit/net/memory';
import { ip } from '../state/mesh.fixture.ts';
import { POD_LIMITS } from './limits.ts';
import { LiveConnections, type LiveEntry } from './live-connections.ts';
import { bytes, PodWorld, policy } from './pod-world.fixture.ts';

const MANY = 50_000;

/** To port 1, 2, 3, and so on. */
function callTo(port: number): Call {
  const destination = { namespace: 'shop', authorizationPolicies: [] };
  const source = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
  const facts = { source, sourceIp: ip('10.0.0.1'), destinationIp: ip('10.0.0.2'), destinationPort: port };
  return makeCall({ ...facts, destination });
}

function setOf(count: number, policies = PolicySet.EMPTY) {
  const network = new MemoryNetwork({ seed: 1 });
  const { rechecksPerTurn } = POD_LIMITS;
  const engine = network.engine('pod');
  const live = new LiveConnections({ engine, policies, unknownPolicy: 'deny', rechecksPerTurn });
  const cut: number[] = [];
  const connection = { forbid: ({ destinationPort }: Call) => void cut.push(destinationPort) };
  const entries: LiveEntry[] = [];
  for (let port = 1; port <= count; port += 1) entries.push(live.add(callTo(port), connection));
  return { network, live, cut, entries, connection };
}

const denying = (ports: readonly number[], name = 'd'): Policy =>
  policy(name, { destinationPorts: ports }, { action: 'DENY' });

test('of 50,000 connections exactly the forbidden are cut, a bounded number a turn', () => {
  const { network, live, cut } = setOf(MANY);
  const forbidden = Array.from({ length: 100 }, (_, i) => 1 + i * 499);
  live.policiesChanged(PolicySet.of([denying(forbidden)]));
  assert.equal(live.counters.rechecked, 0, 'nothing happens inside of the update');
  let turns = 0;
  while (live.isRechecking) {
    const before: number = live.counters.rechecked;
    network.schedule.runNext();
    turns += 1;
    assert.ok(live.counters.rechecked - before <= POD_LIMITS.rechecksPerTurn);
  }
  assert.deepEqual(cut, forbidden);
  assert.equal(live.counters.rechecked, MANY);
  assert.equal(live.size, MANY - forbidden.length);
  assert.ok(turns >= MANY / POD_LIMITS.rechecksPerTurn);
});

test('changes that come faster than a round starve nobody', () => {
  const { network, live, cut } = setOf(1000);
  let policies = PolicySet.EMPTY;
  // A round takes four turns, and each turn brings another change.
  for (let change = 0; change < 8; change += 1) {
    policies = policies.with([denying(change === 0 ? [1, 1000] : [2000 + change])], []);
    if (change > 0) policies = policies.with([denying([1, 1000], 'stays')], []);
    live.policiesChanged(policies);
    network.schedule.runNext();
  }
  assert.deepEqual(cut, [1, 1000]);
  assert.equal(live.counters.rounds, 1, 'a change in the middle of a round prolongs it, and starts no other beside it');
  network.run();
  assert.equal(live.isRechecking, false);
  assert.ok(live.counters.rechecked >= 998 + 2);
});

test('who was asked with policies that changed meanwhile is asked again', () => {
  const { network, live, cut } = setOf(1000);
  live.policiesChanged(PolicySet.of([denying([5000])]));
  network.schedule.runNext();
  assert.equal(live.counters.rechecked, POD_LIMITS.rechecksPerTurn);
  live.policiesChanged(PolicySet.of([denying([1, 999])]));
  network.run();
  assert.deepEqual(cut.toSorted(), [1, 999]);
});

test('who left is not asked, who came with the new policies neither, and the same policies are no change', () => {
  const { network, live, cut, entries, connection } = setOf(10);
  const policies = PolicySet.of([denying([1, 2])]);
  live.remove(entries[0]!);
  live.policiesChanged(policies);
  live.add(callTo(77), connection);
  network.run();
  assert.deepEqual([cut, live.counters.rechecked], [[2], 9]);
  live.policiesChanged(policies);
  network.run();
  assert.equal(live.counters.rechecked, 9);
});

test('one that cannot be cut does not keep the others', () => {
  const { network, live, cut } = setOf(1);
  const broken = { forbid: () => assert.fail('no') };
  const network2Entry = live.add(callTo(2), broken);
  live.add(callTo(3), { forbid: () => void cut.push(3) });
  live.policiesChanged(PolicySet.of([denying([2, 3])]));
  network.run();
  assert.deepEqual([cut, live.counters.faults, network2Entry.version], [[3], 1, 0]);
});

test('a policy change cuts what it forbids and nothing else, with DENY, and both sides learn of it', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const cart = await world.pod('cart', '10.0.0.3');
  const api = await world.pod('api', '10.0.0.2');
  for (const port of [80, 81]) api.serve(port);
  world.ready();
  const open = bytes(10, 1, false);
  const calls = [web.call('10.0.0.2', 80, open), web.call('10.0.0.2', 81, open), cart.call('10.0.0.2', 80, open)];
  world.pass();
  const web80 = {
    principals: [{ is: 'exact', value: 'cluster.local/ns/shop/sa/web' }],
    destinationPorts: [80],
  } as const;
  world.policies(policy('p', web80, { action: 'DENY' }));
  world.pass();
  assert.deepEqual(
    calls.map(({ side }) => side?.closed),
    [true, false, false],
  );
  const cutOnes = api.observer.told.filter(({ closed }) => closed !== null);
  assert.equal(cutOnes.length, 1);
  const { failure, received, sent } = cutOnes[0]!.closed!;
  assert.deepEqual(
    [failure?.flag, failure?.message, received, sent],
    ['DENY', 'connection closed due to policy change', 10, 0],
  );
  assert.equal(api.denials.get(failure!.denial!.id!)?.decision.by, 'shop/p');
  assert.equal(calls[0]!.side?.error?.code, 'CONNECTION_RESET');
  assert.equal(web.observer.told.find(({ closed }) => closed !== null)?.closed?.failure?.flag, 'CONNECT');
  assert.deepEqual([api.proxy.counters.live, api.proxy.counters.forbidden], [2, 1]);
  await world.stop();
});

test('a policy that the workload names only now does not touch who is in: the workload is that of the beginning', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const api = await world.pod('api', '10.0.0.2');
  api.serve(80);
  world.ready();
  const call = web.call('10.0.0.2', 80, bytes(10, 1, false));
  world.pass();
  world.policies(policy('p', null, { action: 'DENY', scope: 'workload', rules: [{ clauses: [] }] }));
  world.add({ ...api.workload, authorizationPolicies: ['shop/p'] });
  world.pass();
  assert.equal(call.side?.closed, false);
  const second = web.call('10.0.0.2', 80, bytes(10, 1, false));
  world.pass();
  assert.deepEqual([second.side?.closed, call.side?.closed], [true, false]);
  await world.stop();
});

test('a change while the application is dialled is a denial: 401, and the dial is given up', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const api = await world.pod('api', '10.0.0.2');
  world.ready();
  world.network.drop('10.0.0.2', 80);
  web.call('10.0.0.2', 80, bytes(10));
  world.pass();
  world.policies(policy('p', { destinationPorts: [80] }, { action: 'DENY' }));
  world.pass(100);
  assert.equal(api.observer.failure, 'DENY connection closed due to policy change');
  assert.equal(web.observer.failure, 'CONNECT http status: 401');
  await world.stop();
});
