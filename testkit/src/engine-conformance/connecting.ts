/** Connects that succeed, fail, time out or are given up; listeners and addresses. */
import assert from 'node:assert/strict';
import { AmbitError } from '@ambit/base/errors';
import type { Connection } from '@ambit/net/engine';
import type { Kit, Suite } from './kit.ts';
import { EchoParty } from './party.ts';

export function connectingCases(suite: Suite): void {
  suite.case('both ends know both addresses', addresses);
  suite.case('a port where nobody listens refuses', refused);
  suite.case('an address that does not answer times out', timedOut);
  suite.case('a connect that is given up calls nobody', givenUp);
  suite.case('a port is listened on once, and free again after its listener has closed', listenTwice);
  suite.caseBoth('connections outlive their listener, new ones are refused', listenerCloses);
}

async function addresses(kit: Kit): Promise<void> {
  let accepted: Connection | null = null;
  const server = kit.party({ endWhenSent: false });
  const listener = kit.listen((connection) => {
    accepted = connection;
    server.attach(connection);
  });
  assert.equal(listener.address.ip, '127.0.0.1');
  assert.ok(listener.address.port > 0);
  const attempt = kit.connect(listener.address, kit.party({ endWhenSent: false }));
  await kit.settle(() => attempt.over && accepted !== null);
  const [a, b] = [attempt.connection!, accepted as unknown as Connection];
  assert.deepEqual({ ...a.remote }, { ...listener.address });
  assert.deepEqual({ ...b.local }, { ...listener.address });
  assert.deepEqual({ ...b.remote }, { ...a.local });
  assert.deepEqual({ ...b.originalDestination }, { ...b.local });
  assert.deepEqual([a.tls, b.tls], [null, null]);
}

async function refused(kit: Kit): Promise<void> {
  const listener = kit.listen(() => {});
  listener.close();
  const attempt = kit.connect(listener.address, kit.party());
  await kit.settle(() => attempt.over);
  assert.equal(attempt.error?.code, 'CONNECT_REFUSED');
  assert.equal(attempt.error?.retry, 'safe');
  assert.equal(attempt.error?.side, 'upstream');
}

async function timedOut(kit: Kit): Promise<void> {
  const startMs = kit.client.nowMs();
  const attempt = kit.connect(kit.world.blackhole(), kit.party(), { timeoutMs: 50 });
  await kit.settle(() => attempt.over);
  assert.equal(attempt.error?.code, 'CONNECT_TIMEOUT');
  assert.equal(attempt.error?.retry, 'safe');
  // Clocks that count whole milliseconds may be one short.
  assert.ok(kit.client.nowMs() - startMs >= 49);
}

async function givenUp(kit: Kit): Promise<void> {
  const lost = kit.connect(kit.world.blackhole(), kit.party(), { timeoutMs: 20 });
  const listener = kit.listen((connection) => kit.party({ endWhenSent: false }).attach(connection));
  const unwanted = kit.connect(listener.address, kit.party());
  lost.timer!.cancel();
  unwanted.timer!.cancel();
  await kit.pass(60);
  assert.deepEqual([lost.over, unwanted.over], [false, false]);
  assert.equal(kit.client.counters.connected, 0);
}

async function listenTwice(kit: Kit): Promise<void> {
  const listener = kit.listen(() => {});
  const options = { ip: listener.address.ip, port: listener.address.port };
  assert.throws(
    () => kit.server.listen(options, () => {}),
    (thrown) => thrown instanceof AmbitError && thrown.code === 'LISTEN_FAILED',
  );
  listener.close();
  listener.close();
  const again = kit.server.listen(options, () => {});
  assert.deepEqual({ ...again.address }, options);
}

async function listenerCloses(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ endWhenSent: false });
  const server = new EchoParty(kit.violations);
  const listener = await kit.join(client, server, secure);
  listener.close();
  const late = kit.connect(listener.address, kit.party(), await kit.clientTls(secure));
  await kit.settle(() => late.over);
  assert.equal(late.error?.code, 'CONNECT_REFUSED');
  client.send(100_000);
  await kit.settle(() => client.received === 100_000);
  client.stream!.end();
  await kit.bothClosed(client, server);
  assert.deepEqual([client.closed, server.closed], [null, null]);
}
