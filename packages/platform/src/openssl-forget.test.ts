/** What still works on a connection whose peer's certificates were freed: everything that TLS 1.3 may do after a handshake. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { mint, mintRoot, mintWorkload } from './certificates.fixture.ts';
import { openssl } from './ffi.ts';
import { forgetPeerCertificates, NativeTlsContext, peerLeafDer, verifyFailure } from './openssl.ts';
import { shakeHands, step, type TlsPair, transfer } from './tls-pair.fixture.ts';

const SSL_KEY_UPDATE_REQUESTED = 1;
const root = mintRoot();
const intermediate = mint({ name: 'intermediate', issuer: root, isAuthority: true });
const leaf = mintWorkload(intermediate);
const material = {
  certificateChainPem: leaf.certificatePem + intermediate.certificatePem,
  privateKeyPem: leaf.privateKeyPem,
  rootsPem: root.certificatePem,
  alpn: 'h2',
};

/** Both ends have forgotten each other. */
function forgetful(look: (pair: TlsPair) => void, server = NativeTlsContext.create(material)): void {
  const client = NativeTlsContext.create(material);
  const pair = shakeHands(client, server);
  try {
    assert.deepEqual([pair.client.error, pair.server.error], [null, null]);
    forgetPeerCertificates(pair.client.ssl);
    forgetPeerCertificates(pair.server.ssl);
    look(pair);
  } finally {
    pair.free();
    client.release();
    server.release();
  }
}

function assertWorks({ client, server }: TlsPair): void {
  assert.equal(transfer(client, server, 'question'), 'question');
  assert.equal(transfer(server, client, 'answer'), 'answer');
}

test('bytes pass, nothing is left of the certificate, and to forget twice does no harm', () => {
  forgetful((pair) => {
    assertWorks(pair);
    assert.equal(peerLeafDer(pair.client.ssl)?.length, 69);
    forgetPeerCertificates(pair.client.ssl);
    forgetPeerCertificates(pair.server.ssl);
    assertWorks(pair);
    assert.equal(verifyFailure(pair.client.ssl), null);
  });
});

test('the next connection of the same contexts verifies its peer as the first did', () => {
  const [client, server] = [NativeTlsContext.create(material), NativeTlsContext.create(material)];
  for (let i = 0; i < 3; i++) {
    const pair = shakeHands(client, server);
    assert.deepEqual([pair.client.error, pair.server.error], [null, null]);
    assert.deepEqual(Buffer.from(peerLeafDer(pair.client.ssl) ?? []), leaf.der);
    forgetPeerCertificates(pair.client.ssl);
    forgetPeerCertificates(pair.server.ssl);
    pair.free();
  }
  client.release();
  server.release();
});

test('either side may update the keys', () => {
  forgetful((pair) => {
    for (const end of [pair.client, pair.server, pair.client]) {
      assert.equal(openssl.SSL_key_update(end.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      assertWorks(pair);
      assertWorks(pair);
    }
  });
});

test('tickets that a server sends unasked are taken', () => {
  forgetful((pair) => {
    for (let i = 0; i < 3; i++) {
      assert.equal(openssl.SSL_new_session_ticket(pair.server.ssl), 1);
      assert.equal(openssl.SSL_do_handshake(pair.server.ssl), 1);
      step(pair.client, 'h2');
      assert.equal(pair.client.error, null);
      assertWorks(pair);
    }
  });
});

test('a client that was not asked for a certificate can be forgotten as well', () => {
  const { rootsPem: _, ...unverified } = material;
  forgetful(assertWorks, NativeTlsContext.create(unverified));
});
