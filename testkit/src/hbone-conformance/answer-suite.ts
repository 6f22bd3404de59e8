/** What a CONNECT is answered and when, who may ask, and what a fault of a handler costs (reference 4.1, 5.3). */
import assert from 'node:assert/strict';
import type { AmbitError } from '@ambit/base/errors';
import { HboneStatusError } from '@ambit/net/hbone';
import { HBONE_LIMITS } from '@ambit/net/limits';
import { badMaterial, CLIENT_IDENTITY, freshMaterialFor, SERVER_IDENTITY } from '../authority.ts';
import { RawClient } from './raw-peer.ts';
import { type MakeWorld, meshTests, type WithMesh } from './world.ts';

export function answerSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  refusalTests(withMesh);
  earlyTests(withMesh);
  callTests(withMesh);
  faultTests(withMesh);
  identityTests(withMesh);
}

function refusalTests(withMesh: WithMesh): void {
  for (const status of [401, 503, 400]) {
    withMesh(`a call that the server refuses with ${status} fails with that status`, async (mesh) => {
      mesh.answer = (_, responder) => responder.refuse(status);
      const opening = mesh.open();
      await mesh.world.until(() => opening.done);
      assert.ok(opening.error instanceof HboneStatusError);
      assert.deepEqual([opening.error.code, opening.error.status], ['HBONE_STATUS', status]);
      assert.equal(opening.error.message, `http status: ${status}`);
      assert.equal(mesh.server.counters.callsRefused, 1);
      await mesh.tunnelStillWorks();
    });
  }
}

function earlyTests(withMesh: WithMesh): void {
  withMesh('a decision may come later, and early bytes wait for it', async (mesh) => {
    mesh.answer = () => {};
    const raw = await RawClient.connect(mesh);
    const stream = raw.connect('10.0.0.1:80');
    raw.send(stream, 'before the answer', true);
    await mesh.world.until(() => mesh.responders.length === 1);
    await mesh.world.pass(20);
    const side = mesh.accept(mesh.responders[0]!);
    assert.equal(side.receivedBytes, 0, 'nothing comes from inside the call of `receive`');
    await mesh.world.until(() => side.ended);
    assert.equal(side.receivedBytes, 17);
    await mesh.world.until(() => raw.statusOf(stream) === '200');
    side.stream.end();
    await mesh.world.until(() => side.closed);
    assert.equal(side.error, null);
  });

  withMesh(
    'an end that could not be told before the connection was cut is not told without its bytes',
    async (mesh) => {
      mesh.answer = () => {};
      const raw = await RawClient.connect(mesh);
      const stream = raw.connect('10.0.0.1:80');
      raw.send(stream, 'lost with the connection', true);
      await mesh.world.until(() => mesh.responders.length === 1);
      await mesh.world.pass(20);
      const side = mesh.accept(mesh.responders[0]!);
      mesh.server.close();
      await mesh.world.until(() => side.closed);
      assert.deepEqual([side.receivedBytes, side.ended, side.error?.code], [0, false, 'HBONE_DRAINED']);
    },
  );

  withMesh('early bytes of a refused call are dropped, and hold back no other call', async (mesh) => {
    mesh.answer = () => {};
    const raw = await RawClient.connect(mesh);
    // Together more than the connection's window: what was refused has to come back as credit.
    for (let i = 0; i < 70; i++) {
      const stream = raw.connect('10.0.0.1:80');
      await raw.fill(stream, HBONE_LIMITS.streamWindowInitialBytes);
      await mesh.world.until(() => mesh.responders.length === i + 1);
      mesh.responders[i]!.refuse(503);
      await mesh.world.until(() => raw.statusOf(stream) === '503' && stream.closed);
    }
    await mesh.tunnelStillWorks();
  });

  withMesh('a client that gives up before the answer is told to the handler', async (mesh) => {
    let abandoned: AmbitError | null = null;
    mesh.answer = (_, responder) => {
      responder.onAbandoned = (error) => {
        abandoned = error;
      };
    };
    const opening = mesh.open();
    await mesh.world.until(() => mesh.responders.length === 1);
    opening.handle?.cancel();
    await mesh.world.until(() => abandoned !== null);
    const late = mesh.accept(mesh.responders[0]!);
    await mesh.world.until(() => late.closed);
    assert.deepEqual([late.receivedBytes, late.error?.code, opening.done], [0, 'HTTP2_CANCEL', false]);
    assert.equal(mesh.server.counters.callsAbandoned, 1);
  });
}

function callTests(withMesh: WithMesh): void {
  withMesh('what is not a CONNECT with an authority is answered 400 without asking the handler', async (mesh) => {
    const raw = await RawClient.connect(mesh);
    const get = raw.request([':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'a:80']);
    const portless = raw.connect('10.0.0.1');
    const zero = raw.connect('10.0.0.1:0');
    const good = raw.connect('web.default.svc.cluster.local:80');
    await mesh.world.until(() => [get, portless, zero, good].every((stream) => raw.statusOf(stream) !== ''));
    assert.deepEqual(
      [get, portless, zero, good].map((stream) => raw.statusOf(stream)),
      ['400', '400', '400', '200'],
    );
    assert.deepEqual([mesh.calls.length, mesh.server.counters.callsMalformed], [1, 3]);
  });

  withMesh('the handler learns who calls, from where, and what the headers say', async (mesh) => {
    const connect = {
      authority: '[2001:db8::1]:8080',
      baggage: 'k8s.namespace.name=shop,k8s.deployment.name=cart',
      forwarded: 'for="10.1.2.3:4567";host=web.shop.svc.cluster.local',
      traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-00',
      forwardedNetwork: '',
    };
    const opening = mesh.open({ connect });
    await mesh.world.until(() => opening.done);
    const call = mesh.calls[0]!;
    assert.deepEqual(call.peer, { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'client' });
    assert.deepEqual(call.connect.authority, { kind: 'ip', ip: '2001:db8::1', port: 8080 });
    assert.equal(call.connect.baggage.workloadName, 'cart');
    assert.deepEqual(call.connect.forwarded, { for: '10.1.2.3:4567', host: 'web.shop.svc.cluster.local' });
    assert.equal(call.connect.traceparent?.traceId, '0123456789abcdef0123456789abcdef');
    assert.deepEqual([call.remote.ip, call.local], [mesh.world.clientIp, mesh.listener.address]);
    assert.equal(opening.response?.peerIdentity.serviceAccount, 'server');
  });
}

function faultTests(withMesh: WithMesh): void {
  withMesh('a receiver that throws loses its own stream and nothing else', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const steady = await mesh.tunnel();
    const client = await mesh.tunnel();
    mesh.accepted[1]!.onData = () => {
      throw new Error('a bug');
    };
    client.write('bang');
    await mesh.world.until(() => client.closed && mesh.accepted[1]!.closed);
    assert.equal(mesh.accepted[1]!.error?.code, 'HBONE_HANDLER_FAULT');
    assert.equal(client.error?.code, 'HTTP2_INTERNAL_ERROR');
    assert.equal(mesh.server.counters.handlerFaults, 1);
    mesh.server.counters.handlerFaults = 0;
    steady.write('still here');
    await mesh.world.until(() => mesh.accepted[0]!.receivedBytes === 10);
  });

  withMesh('a handler that throws answers 503, and the connection lives', async (mesh) => {
    const answer = mesh.answer;
    mesh.answer = () => {
      throw new Error('a bug');
    };
    const opening = mesh.open();
    await mesh.world.until(() => opening.done);
    assert.equal(opening.error?.message, 'http status: 503');
    assert.equal(mesh.server.counters.handlerFaults, 1);
    mesh.server.counters.handlerFaults = 0;
    mesh.answer = answer;
    await mesh.tunnelStillWorks();
  });
}

function identityTests(withMesh: WithMesh): void {
  withMesh(
    'a server that is not whom it should be gets no CONNECT',
    async (mesh) => {
      const opening = mesh.open();
      await mesh.world.until(() => opening.done);
      assert.equal(opening.error?.code, 'HBONE_SERVER_IDENTITY');
      assert.match(opening.error!.message, /showed spiffe:\/\/cluster\.local\/ns\/default\/sa\/impostor, expected /);
      assert.match(opening.error!.message, new RegExp(SERVER_IDENTITY));
      await mesh.world.until(() => mesh.server.counters.connections === 0);
      assert.deepEqual([mesh.server.counters.calls, mesh.pool.counters.identitiesRefused], [0, 1]);
    },
    { serverIdentity: 'spiffe://cluster.local/ns/default/sa/impostor' },
  );

  withMesh('any identity of the accepted list will do, and none of an empty list', async (mesh) => {
    const other = 'spiffe://cluster.local/ns/default/sa/other';
    await mesh.tunnel(undefined, { destinationIdentities: [other, SERVER_IDENTITY] });
    const nobody = mesh.open({ destinationIdentities: [] });
    await mesh.world.until(() => nobody.done);
    assert.equal(nobody.error?.code, 'HBONE_SERVER_IDENTITY');
  });

  withMesh(
    'a client of a foreign trust domain is turned away before anything is acted on',
    async (mesh) => {
      const opening = mesh.open();
      await mesh.world.until(() => opening.done);
      assert.ok(opening.error !== null);
      assert.deepEqual([mesh.server.counters.calls, mesh.server.counters.identitiesRefused], [0, 1]);
    },
    { trustDomain: 'other.example' },
  );

  withMesh('a client that names itself twice is turned away, whatever the names', async (mesh) => {
    const tls = mesh.world.clientEngine.tlsContext(await badMaterial('twoNames', CLIENT_IDENTITY));
    const opening = mesh.open({ tls });
    await mesh.world.until(() => opening.done);
    assert.ok(opening.error !== null);
    assert.deepEqual([mesh.server.counters.calls, mesh.server.counters.identitiesRefused], [0, 1]);
  });

  withMesh('a server that names itself twice gets no CONNECT, though one name is the one expected', async (mesh) => {
    const tls = mesh.world.serverEngine.tlsContext(await badMaterial('twoNames', SERVER_IDENTITY));
    mesh.listener.useTls(tls);
    const opening = mesh.open();
    await mesh.world.until(() => opening.done);
    assert.equal(opening.error?.code, 'HBONE_SERVER_IDENTITY');
    assert.deepEqual([mesh.server.counters.calls, mesh.pool.counters.identitiesRefused], [0, 1]);
  });

  for (const identity of ['spiffe://cluster.local/workload/7', null]) {
    withMesh(`a client whose certificate names ${identity ?? 'nobody'} is turned away`, async (mesh) => {
      const material =
        identity === null ? await badMaterial('noName', SERVER_IDENTITY) : await freshMaterialFor(identity);
      const tls = mesh.world.clientEngine.tlsContext(material);
      const opening = mesh.open({ tls });
      await mesh.world.until(() => opening.done);
      assert.ok(opening.error !== null);
      assert.deepEqual([mesh.server.counters.calls, mesh.server.counters.identitiesRefused], [0, 1]);
    });
  }
}
