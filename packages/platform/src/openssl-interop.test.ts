import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { type Minted, mintRoot, mintWorkload } from './certificates.fixture.ts';
import { openssl } from './ffi.ts';
import { NativeTlsContext } from './openssl.ts';
import { accepted } from './socket.fixture.ts';
import * as socket from './socket.ts';
import { type End, step } from './tls-pair.fixture.ts';

const root = mintRoot();
const leaf = mintWorkload(root);

function native(): NativeTlsContext {
  return NativeTlsContext.create({
    certificateChainPem: leaf.certificatePem,
    privateKeyPem: leaf.privateKeyPem,
    rootsPem: root.certificatePem,
    alpn: 'h2',
  });
}

function nodeSide(minted: Minted, change: object = {}) {
  return {
    cert: minted.certificatePem,
    key: minted.privateKeyPem,
    ca: root.certificatePem,
    ALPNProtocols: ['h2'],
    requestCert: true,
    rejectUnauthorized: true,
    checkServerIdentity: () => undefined,
    ...change,
  };
}

/** Steps our side of a TLS session over `fd` until it has an outcome. */
async function drive(fd: number, role: (ssl: number) => void): Promise<End> {
  const context = native();
  const end: End = { ssl: openssl.SSL_new(context.address), done: false, error: null, verify: null };
  const bio = openssl.BIO_new_socket(fd, 0);
  openssl.SSL_set_bio(end.ssl, bio, bio);
  role(end.ssl);
  context.release();
  while (!end.done && end.error === null) {
    step(end, 'h2');
    await sleep(1);
  }
  return end;
}

async function toNodeServer(change: object): Promise<{ end: End; serverError: string | null }> {
  const server = createServer(nodeSide(mintWorkload(root, 'node'), change));
  const serverError = new Promise<string | null>((resolve) => {
    server.once('tlsClientError', (error) => resolve(error.message));
    server.once('secureConnection', (peer: TLSSocket) => {
      peer.on('error', () => undefined);
      resolve(null);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fd = socket.openSocket({ family: 4, type: 'stream' });
  socket.connectSocket(fd, '127.0.0.1', (server.address() as { port: number }).port);
  const end = await drive(fd, openssl.SSL_set_connect_state);
  const outcome = { end, serverError: await serverError };
  openssl.SSL_free(end.ssl);
  socket.closeDescriptor(fd);
  server.close();
  return outcome;
}

async function fromNodeClient(change: object): Promise<{ end: End; clientError: string | null; tickets: number }> {
  const listener = socket.openSocket({ family: 4, type: 'stream' });
  socket.bindSocket(listener, '127.0.0.1', 0);
  socket.listenSocket(listener, 1);
  let tickets = 0;
  const { port } = socket.localAddress(listener);
  const client = connect({ host: '127.0.0.1', port, ...nodeSide(mintWorkload(root, 'node'), change) });
  client.on('session', () => tickets++);
  const clientError = new Promise<string | null>((resolve) => {
    client.on('error', (error) => resolve(error.message));
    client.once('close', () => resolve(null));
  });
  const fd = await accepted(listener);
  const end = await drive(fd, openssl.SSL_set_accept_state);
  await sleep(10);
  openssl.SSL_free(end.ssl);
  socket.closeDescriptor(fd);
  socket.closeDescriptor(listener);
  return { end, clientError: await clientError, tickets };
}

const olderVersions = { minVersion: 'TLSv1.2' as SecureVersion, maxVersion: 'TLSv1.2' as SecureVersion };

test('our client and a node:tls server agree', async () => {
  const { end, serverError } = await toNodeServer({});
  assert.deepEqual([end.done, end.error, serverError], [true, null, null]);
});

test('our server and a node:tls client agree, and no ticket is given', async () => {
  const { end, clientError, tickets } = await fromNodeClient({});
  assert.deepEqual([end.done, end.error, clientError], [true, null, null]);
  assert.equal(tickets, 0);
});

test('our client refuses a server that speaks TLS 1.2 at most', async () => {
  const { end, serverError } = await toNodeServer(olderVersions);
  assert.equal(end.done, false);
  assert.match(end.error ?? '', /alert protocol version|unsupported protocol/);
  assert.match(serverError ?? '', /unsupported protocol/);
});

test('our server refuses a client that speaks TLS 1.2 at most', async () => {
  const { end, clientError } = await fromNodeClient(olderVersions);
  assert.equal(end.done, false);
  assert.match(end.error ?? '', /unsupported protocol/);
  assert.match(clientError ?? '', /alert protocol version/);
});

test('our client refuses a server that takes no part in ALPN', async () => {
  const { end } = await toNodeServer({ ALPNProtocols: undefined });
  assert.equal(end.error, 'the peer did not agree to ALPN h2');
});

test('our server refuses a client that takes no part in ALPN', async () => {
  const { end } = await fromNodeClient({ ALPNProtocols: undefined });
  assert.equal(end.error, 'the peer did not agree to ALPN h2');
});

test('our server refuses a node:tls client with the suite that Istio leaves out', async () => {
  const { end } = await fromNodeClient({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256', minVersion: 'TLSv1.3' });
  assert.match(end.error ?? '', /no shared cipher/);
});
