/** Two pods end to end: bytes both ways, half-close, server-first; and how a pod's proxy ends. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { sentHash } from '@ambit/testkit/hbone-world';
import { workload } from '../state/mesh.fixture.ts';
import { bytes, PodWorld } from './pod-world.fixture.ts';

const API_IP = '10.0.0.2';

async function twoPods(apiGiven: Parameters<PodWorld['pod']>[2] = {}) {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  const api = await world.pod('api', API_IP, apiGiven);
  world.ready();
  return { world, web, api };
}

describe('bytes arrive whole both ways, and are counted by direction', () => {
  const cases: [string, number, number][] = [
    ['more up than down', 700_000, 3000],
    ['more down than up', 3000, 700_000],
    ['nothing up: the server speaks first', 0, 50_000],
    ['nothing down', 50_000, 0],
    ['nothing at all', 0, 0],
  ];
  for (const [name, up, down] of cases) {
    test(name, async () => {
      const { world, web, api } = await twoPods();
      api.serve(80, bytes(down, 2));
      const call = web.call(API_IP, 80, bytes(up, 1));
      await world.until(() => web.observer.isDone && api.observer.isDone);
      world.pass();
      assert.deepEqual([call.side!.hash, call.side!.ended, call.side!.error], [sentHash(bytes(down, 2)), true, null]);
      assert.deepEqual([api.served[0]!.hash, api.served[0]!.error], [sentHash(bytes(up, 1)), null]);
      const expected = { received: up, sent: down, failure: null };
      assert.deepEqual([web.observer.one.closed, api.observer.one.closed], [expected, expected]);
      await world.stop();
    });
  }
});

test('each direction ends by itself: the client goes on reading after its end, and the server after its own', async () => {
  const { world, web, api } = await twoPods();
  api.serve(80, bytes(0, 2, false));
  const call = web.call(API_IP, 80, bytes(100));
  world.pass();
  const [served] = api.served;
  assert.deepEqual([served!.receivedBytes, served!.ended, call.side!.ended], [100, true, false]);
  served!.write('later');
  served!.stream.end();
  world.pass();
  assert.deepEqual([call.side!.receivedBytes, call.side!.ended, call.side!.error], [5, true, null]);

  api.serve(81, bytes(7, 2));
  const second = web.call(API_IP, 81, bytes(0, 1, false));
  world.pass();
  assert.deepEqual([second.side!.receivedBytes, second.side!.ended], [7, true]);
  second.side!.write('later');
  second.side!.stream.end();
  world.pass();
  assert.deepEqual([api.served[1]!.receivedBytes, api.served[1]!.error], [5, null]);
  await world.stop();
});

test('what a pod calls outside of the mesh goes as it came, and is told without identities', async () => {
  const { world, web } = await twoPods();
  const outside = await world.pod('outside', '192.0.2.1', { unknown: true });
  outside.serve(443, bytes(5000, 2));
  const call = web.call('192.0.2.1', 443, bytes(400));
  world.pass();
  assert.deepEqual([call.side!.receivedBytes, outside.served[0]!.receivedBytes], [5000, 400]);
  const { facts, closed } = web.observer.one;
  assert.deepEqual([facts.sourceIdentity, facts.destinationWorkload, facts.encrypted], [null, null, false]);
  assert.deepEqual(closed, { received: 400, sent: 5000, failure: null });
  await world.stop();
});

test('what runs can be listed with its bytes', async () => {
  const { world, web, api } = await twoPods();
  api.serve(80, bytes(20, 2, false));
  web.call(API_IP, 80, bytes(10, 1, false));
  world.pass();
  for (const pod of [web, api]) {
    const [running, ...more] = pod.proxy.connections();
    assert.equal(more.length, 0);
    assert.deepEqual(
      [running!.receivedBytes, running!.sentBytes, running!.facts?.hboneAuthority],
      [10, 20, '10.0.0.2:80'],
    );
  }
  await world.stop();
});

describe('a drain', () => {
  for (const side of ['web', 'api'] as const) {
    test(`of ${side} lets a transfer finish, and is over with it`, async () => {
      const { world, web, api } = await twoPods();
      api.serve(80, bytes(600_000, 2));
      const call = web.call(API_IP, 80, bytes(10));
      await world.until(() => (call.side?.receivedBytes ?? 0) > 0);
      let drained = false;
      const { proxy } = side === 'web' ? web : api;
      proxy.drain(60_000, () => {
        drained = true;
      });
      await world.until(() => drained);
      assert.ok(world.network.schedule.nowMs < 60_000, 'it did not wait for the deadline');
      world.pass();
      assert.deepEqual([call.side!.hash, call.side!.error], [sentHash(bytes(600_000, 2)), null]);
      await world.stop();
    });

    test(`of ${side} cuts at the deadline what has not finished, and says so without a flag`, async () => {
      const { world, web, api } = await twoPods();
      api.serve(80, bytes(20, 2, false));
      const call = web.call(API_IP, 80, bytes(10, 1, false));
      world.pass();
      let drained = false;
      const pod = side === 'web' ? web : api;
      pod.proxy.drain(3000, () => {
        drained = true;
      });
      world.pass(2900);
      assert.deepEqual([drained, call.side!.closed], [false, false]);
      world.pass(1000);
      assert.deepEqual([drained, call.side!.closed], [true, true]);
      assert.equal(pod.observer.failure, '- connection closed due to connection drain');
      assert.deepEqual([pod.observer.one.closed!.received, pod.observer.one.closed!.sent], [10, 20]);
      await world.stop();
    });
  }

  test('that is cut short by a second one ends at once, and both callers are told', async () => {
    const { world, web, api } = await twoPods();
    api.serve(80);
    web.call(API_IP, 80, bytes(10, 1, false));
    world.pass();
    const told: string[] = [];
    web.proxy.drain(60_000, () => told.push('drain'));
    world.pass(1000);
    web.proxy.close(() => told.push('close'));
    world.pass(500);
    assert.deepEqual(told, ['drain', 'close']);
    await world.stop();
  });

  test('at once cuts who waits, who is dialled and who is asked for a certificate', async () => {
    const { world, web } = await twoPods();
    const late = await world.pod('late', '10.0.0.3', { unknown: true });
    world.add(workload('c//Pod/shop/gone', { ips: ['10.0.0.4'] }));
    world.network.drop('10.0.0.4', 80);
    web.call('10.0.0.4', 80);
    late.call(API_IP, 80);
    world.pass();
    web.certificate = null;
    web.call(API_IP, 80);
    world.pass();
    assert.deepEqual([web.proxy.counters.connections, late.proxy.counters.waiting], [2, 1]);
    let closed = 0;
    for (const { proxy } of [web, late]) proxy.close(() => (closed += 1));
    world.pass(200);
    assert.equal(closed, 2);
    assert.deepEqual(
      web.observer.told.map(({ closed: end }) => end?.failure?.message),
      ['connection closed due to connection drain', 'connection closed due to connection drain'],
    );
    assert.deepEqual(late.observer.rejections, [
      'outbound 10.0.0.3 -> 10.0.0.2:80 connection closed due to connection drain',
    ]);
    await world.stop();
  });
});
