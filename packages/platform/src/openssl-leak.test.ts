import assert from 'node:assert/strict';
import test from 'node:test';
import { mint, mintRoot, mintWorkload } from './certificates.fixture.ts';
import { libc } from './ffi.ts';
import { forgetPeerCertificates, NativeTlsContext, peerLeafDer } from './openssl.ts';
import { shakeHands } from './tls-pair.fixture.ts';

/** One certificate left behind in each round takes 6 KB, one session 20 KB. */
const GROWTH_BYTES_MAX_PER_ROUND = 2500;
const WINDOWS = 5;

const root = mintRoot();
const intermediate = mint({ name: 'intermediate', issuer: root, isAuthority: true });
const leaf = mintWorkload(intermediate);
const material = {
  certificateChainPem: leaf.certificatePem + intermediate.certificatePem,
  privateKeyPem: leaf.privateKeyPem,
  rootsPem: root.certificatePem,
  alpn: 'h2',
};

/** A leak grows in every window, the engine's own memory in some: the median tells them apart. */
function assertNoGrowth(roundsPerWindow: number, round: () => void): void {
  for (let i = 0; i < 150; i++) round();
  const growths: number[] = [];
  for (let window = 0; window < WINDOWS; window++) {
    const before = nativeBytes();
    for (let i = 0; i < roundsPerWindow; i++) round();
    growths.push((nativeBytes() - before) / roundsPerWindow);
  }
  const median = growths.toSorted((a, b) => a - b)[(WINDOWS - 1) / 2] as number;
  assert.ok(median < GROWTH_BYTES_MAX_PER_ROUND, `bytes more per round, by window: ${growths.map(Math.round)}`);
}

function nativeBytes(): number {
  libc.malloc_trim(0);
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

test('making and freeing contexts leaves nothing behind, refused ones included', () => {
  assertNoGrowth(400, () => {
    NativeTlsContext.create(material).release();
    assert.throws(() => NativeTlsContext.create({ ...material, privateKeyPem: root.privateKeyPem }));
  });
});

test('handshakes leave nothing behind', () => {
  const [server, client] = [NativeTlsContext.create(material), NativeTlsContext.create(material)];
  assertNoGrowth(80, () => {
    const pair = shakeHands(client, server);
    assert.notEqual(peerLeafDer(pair.server.ssl), null);
    assert.equal(pair.client.error, null);
    pair.free();
  });
});

test('handshakes whose certificates were forgotten leave nothing behind', () => {
  const [server, client] = [NativeTlsContext.create(material), NativeTlsContext.create(material)];
  assertNoGrowth(80, () => {
    const pair = shakeHands(client, server);
    forgetPeerCertificates(pair.server.ssl);
    forgetPeerCertificates(pair.client.ssl);
    assert.equal(pair.client.error, null);
    pair.free();
  });
});

test('refused handshakes leave nothing behind', () => {
  const server = NativeTlsContext.create(material);
  const client = NativeTlsContext.create({ ...material, alpn: 'http/1.1' });
  assertNoGrowth(80, () => {
    const pair = shakeHands(client, server);
    assert.notEqual(pair.server.error, null);
    pair.free();
  });
});
