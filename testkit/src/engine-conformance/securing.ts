/** TLS: who is let in, who is not, and how a change of certificates goes. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { AmbitError } from '@ambit/base/errors';
import type { Connection, TlsMaterial } from '@ambit/net/engine';
import {
  anonymousMaterial,
  badMaterial,
  CLIENT_IDENTITY,
  freshMaterialFor,
  materialFor,
  SERVER_IDENTITY,
} from '../authority.ts';
import type { Attempt, Kit, Suite } from './kit.ts';
import { EchoParty, type Party } from './party.ts';

export function securingCases(suite: Suite): void {
  suite.case('each side gets the leaf that the other proved, and the protocol', leaves);
  suite.case('a server that asks for no certificate gets none', noClientCertificateWanted);
  for (const fault of ['otherAuthority', 'expired', 'notYetValid', 'serverOnly'] as const) {
    suite.case(`a client with a certificate that is ${fault} is not let in`, async (kit) =>
      clientRefused(kit, await badMaterial(fault, CLIENT_IDENTITY)),
    );
  }
  suite.case('a client without a certificate is not let in', async (kit) =>
    clientRefused(kit, await anonymousMaterial()),
  );
  for (const fault of ['otherAuthority', 'expired', 'notYetValid', 'clientOnly'] as const) {
    suite.case(`a server with a certificate that is ${fault} gets no connection`, async (kit) =>
      serverRefused(kit, await badMaterial(fault, SERVER_IDENTITY), await materialFor(CLIENT_IDENTITY)),
    );
  }
  suite.case('another protocol (ALPN) is refused by both', async (kit) =>
    serverRefused(kit, await materialFor(SERVER_IDENTITY), { ...(await materialFor(CLIENT_IDENTITY)), alpn: 'other' }),
  );
  suite.case('a client that never starts its handshake is cut off', silentClient);
  suite.case('a client that does not speak TLS is cut off', plainClient);
  suite.case('a server that never answers the handshake times out', silentServer);
  suite.case('certificates change under load without a failed connection', rotation);
  suite.case('material that does not fit together is refused at once', unusableMaterial);
}

async function leaves(kit: Kit): Promise<void> {
  const client = kit.party({ endWhenSent: false });
  const server = kit.party({ endWhenSent: false });
  await kit.join(client, server, true);
  const [a, b] = [client.stream as Connection, server.stream as Connection];
  assert.deepEqual(fingerprint(a.tls?.leafDer), leafOf(await materialFor(SERVER_IDENTITY)));
  assert.deepEqual(fingerprint(b.tls?.leafDer), leafOf(await materialFor(CLIENT_IDENTITY)));
  assert.deepEqual([a.tls?.alpn, b.tls?.alpn], ['h2', 'h2']);
}

async function noClientCertificateWanted(kit: Kit): Promise<void> {
  const { rootsPem: _, ...open } = await materialFor(SERVER_IDENTITY);
  const server = kit.party({ endWhenSent: false });
  const listener = kit.listen((connection) => server.attach(connection), { tls: kit.server.tlsContext(open) });
  kit.connect(listener.address, kit.party({ endWhenSent: false }), await kit.clientTls(true));
  await kit.settle(() => server.stream !== null);
  assert.equal((server.stream as Connection).tls?.leafDer, null);
}

/** In TLS 1.3 the client is done before the server has looked at its certificate: it may learn of it afterwards. */
async function clientRefused(kit: Kit, material: TlsMaterial): Promise<void> {
  let accepted = 0;
  const failedBefore = kit.server.counters.handshakesFailed;
  const listener = kit.listen(
    () => {
      accepted += 1;
    },
    await kit.serverTls(true),
  );
  const client = kit.party({ sendBytes: 1000, endWhenSent: false });
  const attempt = kit.connect(listener.address, client, { tls: kit.client.tlsContext(material) });
  await kit.settle(() => attempt.error !== null || client.closed !== undefined);
  const code = attempt.error?.code ?? client.closed?.code;
  assert.ok(code === 'TLS_HANDSHAKE_FAILED' || (attempt.error === null && code === 'CONNECTION_RESET'), `${code}`);
  await kit.settle(() => kit.server.counters.handshakesFailed > failedBefore);
  assert.deepEqual([accepted, client.received], [0, 0]);
}

async function serverRefused(kit: Kit, server: TlsMaterial, client: TlsMaterial): Promise<void> {
  let accepted = 0;
  const failedBefore = kit.server.counters.handshakesFailed;
  const listener = kit.listen(
    () => {
      accepted += 1;
    },
    { tls: kit.server.tlsContext(server) },
  );
  const attempt = kit.connect(listener.address, kit.party(), { tls: kit.client.tlsContext(client) });
  await kit.settle(() => attempt.over);
  assert.equal(attempt.error?.code, 'TLS_HANDSHAKE_FAILED');
  assert.equal(attempt.error?.retry, 'safe');
  await kit.settle(() => kit.server.counters.handshakesFailed > failedBefore);
  assert.equal(accepted, 0);
}

async function silentClient(kit: Kit): Promise<void> {
  let accepted = 0;
  const listener = kit.listen(
    () => {
      accepted += 1;
    },
    { ...(await kit.serverTls(true)), handshakeTimeoutMs: 50 },
  );
  const silent = kit.party({ endWhenSent: false });
  const startMs = kit.client.nowMs();
  kit.connect(listener.address, silent);
  await kit.settle(() => silent.ended || silent.closed !== undefined);
  assert.ok(kit.client.nowMs() - startMs >= 49);
  assert.equal(accepted, 0);
  assert.equal(kit.server.counters.handshakesFailed, 1);
}

async function plainClient(kit: Kit): Promise<void> {
  let accepted = 0;
  const listener = kit.listen(
    () => {
      accepted += 1;
    },
    { ...(await kit.serverTls(true)), handshakeTimeoutMs: 60_000 },
  );
  const plain = kit.party({ sendBytes: 1000, endWhenSent: false });
  kit.connect(listener.address, plain);
  await kit.settle(() => plain.ended || plain.closed !== undefined);
  assert.equal(accepted, 0);
  assert.equal(kit.server.counters.handshakesFailed, 1);
}

async function silentServer(kit: Kit): Promise<void> {
  const silent = kit.party({ endWhenSent: false });
  const listener = kit.listen((connection) => silent.attach(connection));
  const tls = await kit.clientTls(true);
  const attempt = kit.connect(listener.address, kit.party(), { ...tls, timeoutMs: 50 });
  await kit.settle(() => attempt.over);
  assert.equal(attempt.error?.code, 'TLS_HANDSHAKE_TIMEOUT');
  assert.ok(silent.received > 0, 'the server has seen the hello');
  await kit.settle(() => silent.ended || silent.closed !== undefined);
}

const ROTATION_CONNECTIONS = 60;
const ROTATION_AT = 30;

async function rotation(kit: Kit): Promise<void> {
  const first = kit.server.tlsContext(await materialFor(SERVER_IDENTITY));
  const freshMaterial = await freshMaterialFor(SERVER_IDENTITY);
  const fresh = kit.server.tlsContext(freshMaterial);
  const listener = kit.listen((connection) => new EchoParty(kit.violations).attach(connection), { tls: first });
  const tls = await kit.clientTls(true);
  const clients: Party[] = [];
  const attempts: Attempt[] = [];
  for (let i = 0; i < ROTATION_CONNECTIONS; i++) {
    if (i === ROTATION_AT) {
      listener.useTls(fresh);
      first.release();
    }
    const client = kit.party({ sendBytes: 100, endWhenSent: false });
    clients.push(client);
    attempts.push(kit.connect(listener.address, client, tls));
    // A few in their handshakes at any time, the change among them.
    if (i % 5 === 4) await kit.settle(() => attempts[i - 4]!.over);
  }
  await kit.settle(() => clients.every((client) => client.received === 100));
  assert.ok(attempts.every((attempt) => attempt.error === null));
  const shown = attempts.map((attempt) => fingerprint(attempt.connection!.tls?.leafDer));
  assert.equal(shown[0], leafOf(await materialFor(SERVER_IDENTITY)));
  assert.deepEqual([...new Set(shown.slice(ROTATION_AT))], [leafOf(freshMaterial)]);
  for (const client of clients) client.send(100);
  await kit.settle(() => clients.every((client) => client.received === 200), 5000);
}

async function unusableMaterial(kit: Kit): Promise<void> {
  const good = await materialFor(SERVER_IDENTITY);
  const other = await materialFor(CLIENT_IDENTITY);
  const garbage = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const unusable: Record<string, TlsMaterial> = {
    'the key of another': { ...good, privateKeyPem: other.privateKeyPem! },
    'no key': { certificateChainPem: good.certificateChainPem!, alpn: 'h2' },
    'no certificate': { privateKeyPem: good.privateKeyPem!, alpn: 'h2' },
    'a broken certificate': { ...good, certificateChainPem: garbage },
    'a broken key': { ...good, privateKeyPem: 'no key' },
    'broken roots': { ...good, rootsPem: garbage },
    'empty roots': { ...good, rootsPem: '' },
  };
  for (const [what, material] of Object.entries(unusable)) {
    assert.throws(
      () => kit.server.tlsContext(material),
      (thrown) => thrown instanceof AmbitError && thrown.code === 'TLS_MATERIAL',
      what,
    );
  }
  kit.server.tlsContext(good).release();
}

function fingerprint(leafDer: Uint8Array | null | undefined): string | null {
  return leafDer == null ? null : new X509Certificate(leafDer).fingerprint256;
}

function leafOf(material: TlsMaterial): string {
  return new X509Certificate(material.certificateChainPem!).fingerprint256;
}
