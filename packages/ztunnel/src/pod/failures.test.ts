/** How a call that fails is told: flag, message, bytes; and that its application learns of it. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import { aborted } from '@ambit/net/errors';
import { HBONE_PORT } from '@ambit/net/hbone';
import { badMaterial, materialFor } from '@ambit/testkit/authority';
import { Side } from '@ambit/testkit/hbone-world';
import { workload } from '../state/mesh.fixture.ts';
import { carriedFlag, connectFlag } from './failure-flags.ts';
import { bytes, type HbonePeer, PodWorld, type TestPod } from './pod-world.fixture.ts';

const API_IP = '10.0.0.2';
const KNOWN = workload('c//Pod/shop/api', { ips: [API_IP], tunnelProtocol: 1, serviceAccount: 'api' });
const PLAIN = workload('c//Pod/shop/api', { ips: [API_IP] });

describe('a call that cannot be made says why', () => {
  const cases: [string, (world: PodWorld, web: TestPod) => Promise<void>, RegExp][] = [
    [
      'nothing listens, without HBONE',
      async (world) => world.add(PLAIN),
      /^CONNECT io error: connecting to 10\.0\.0\.2:80 was refused$/,
    ],
    [
      'nothing listens, with HBONE',
      async (world) => world.add(KNOWN),
      /^CONNECT connecting to 10\.0\.0\.2:15008 was refused$/,
    ],
    [
      'no answer on port 15008',
      async (world) => {
        world.add(KNOWN);
        world.network.drop(API_IP, HBONE_PORT);
      },
      /^NETWORK_POLICY connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: /,
    ],
    [
      'no answer without HBONE',
      async (world) => {
        world.add(PLAIN);
        world.network.drop(API_IP, 80);
      },
      /^CONNECT io error: connecting to 10\.0\.0\.2:80 took more than 10000 ms$/,
    ],
    [
      'somebody else answers',
      async (world) => {
        world.add(KNOWN);
        await world.peer('mallory', API_IP);
      },
      /^IDENTITY_ERROR .*sa\/mallory, expected spiffe:\/\/cluster\.local\/ns\/shop\/sa\/api$/,
    ],
    [
      'a certificate of another authority',
      async (world) => {
        world.add(KNOWN);
        const engine = world.engine('api', API_IP);
        const tls = engine.tlsContext(await badMaterial('otherAuthority', 'spiffe://cluster.local/ns/shop/sa/api'));
        engine.listen({ ip: API_IP, port: HBONE_PORT, tls }, () => {});
      },
      /^TLS_FAILURE /,
    ],
    [
      'a peer that speaks no HTTP/2',
      async (world) => {
        world.add(KNOWN);
        const engine = world.engine('api', API_IP);
        const tls = engine.tlsContext(await materialFor('spiffe://cluster.local/ns/shop/sa/api'));
        engine.listen({ ip: API_IP, port: HBONE_PORT, tls }, (connection) => new Side(connection, bytes(500)));
      },
      /^H2_HANDSHAKE_FAILURE /,
    ],
    ['no certificate of our own', refuseCertificate, /^IDENTITY_ERROR the authority is away$/],
    [
      'no answer about a certificate of our own',
      async (world, web) => {
        world.add(KNOWN);
        web.certificate = null;
      },
      /^IDENTITY_ERROR no certificate within 10000 ms: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web$/,
    ],
    ['a policy at the destination', answering(401), /^CONNECT http status: 401$/],
    ['a destination that does not reach its application', answering(503), /^CONNECT http status: 503$/],
  ];
  for (const [name, prepare, expected] of cases) {
    test(name, async () => {
      const world = new PodWorld();
      const web = await world.pod('web', '10.0.0.1');
      await prepare(world, web);
      world.ready();
      const call = web.call(API_IP, 80, bytes(100));
      world.pass(25_000);
      assert.match(web.observer.failure, expected);
      assert.deepEqual([web.observer.one.closed?.received, web.observer.one.closed?.sent], [0, 0]);
      assert.equal(call.side?.error?.code, 'CONNECTION_RESET');
      await world.stop();
    });
  }
});

test('a client that leaves while its call is dialled is no failure of anybody, and nothing is dialled on', async () => {
  for (const known of [KNOWN, PLAIN]) {
    const world = new PodWorld();
    const web = await world.pod('web', '10.0.0.1');
    world.add(known);
    world.ready();
    for (const port of [80, HBONE_PORT]) world.network.drop(API_IP, port);
    const call = web.call(API_IP, 80);
    world.pass(2000);
    assert.equal(web.observer.one.closed, null);
    call.side!.stream.abort(aborted('the application gave up'));
    world.pass(100);
    assert.equal(web.observer.failure, '- the client left before there was a connection to the destination');
    world.pass(20_000);
    assert.equal(web.proxy.counters.connections, 0);
    await world.stop();
  }
});

test('what breaks after bytes flowed: a reset is an end as in Istio, anything else is a failure', () => {
  const error = (code: string): AmbitError => new AmbitError(code, 'm', { side: 'upstream', retry: 'unknown' });
  const cases: [string, ReturnType<typeof carriedFlag>, ReturnType<typeof connectFlag>][] = [
    ['CONNECTION_RESET', null, 'CONNECT'],
    ['HTTP2_CONNECT_ERROR', 'CONNECT', 'H2_HANDSHAKE_FAILURE'],
    ['HBONE_CONNECTION_LOST', 'CONNECT', 'CONNECT'],
    ['HBONE_DRAINED', '-', '-'],
    ['POD_POLICY_CHANGED', 'DENY', 'DENY'],
    ['TLS_HANDSHAKE_TIMEOUT', 'TLS_FAILURE', 'TLS_FAILURE'],
    ['toString', 'CONNECT', 'CONNECT'],
  ];
  for (const [code, carried, connect] of cases) {
    assert.deepEqual([code, carriedFlag(error(code)), connectFlag(error(code))], [code, carried, connect]);
  }
});

test('an observer that throws costs the connection, and nothing of it stays open', async () => {
  const world = new PodWorld();
  const web = await world.pod('web', '10.0.0.1');
  world.add(PLAIN);
  world.ready();
  web.observer.opened = () => {
    throw new Error('the disk of the log is full');
  };
  const call = web.call(API_IP, 80);
  world.pass();
  assert.ok(call.side?.closed);
  assert.deepEqual([web.proxy.counters.connections, web.proxy.counters.faults], [0, 1]);
});

async function refuseCertificate(world: PodWorld, web: TestPod): Promise<void> {
  world.add(KNOWN);
  web.certificate = new AmbitError('CA_AWAY', 'the authority is away', { side: 'internal', retry: 'safe' });
}

function answering(status: number): (world: PodWorld) => Promise<void> {
  return async (world) => {
    world.add(KNOWN);
    const peer: HbonePeer = await world.peer('api', API_IP);
    peer.answer = (responder) => responder.refuse(status);
  };
}
