import assert from 'node:assert/strict';
import test from 'node:test';
import { mint, mintRoot, mintWorkload } from './certificates.fixture.ts';
import { libc } from './ffi.ts';
import { NativeTlsContext, peerLeafDer } from './openssl.ts';
import { shakeHands } from './tls-pair.fixture.ts';

const ROUNDS = 2000;
/** Leaking one certificate a round (3 KB) would take 6 MB, one session 40 MB. */
const GROWTH_BYTES_MAX = 3 << 20;

const root = mintRoot();
const intermediate = mint({ name: 'intermediate', issuer: root, isAuthority: true });
const leaf = mintWorkload(intermediate);
const material = {
  certificateChainPem: leaf.certificatePem + intermediate.certificatePem,
  privateKeyPem: leaf.privateKeyPem,
  rootsPem: root.certificatePem,
  alpn: 'h2',
};

/** Growth of what the process holds outside the collected heap over `ROUNDS`, after as many again to warm up. */
function growthBytes(warmUpRounds: number, round: () => void): number {
  for (let i = 0; i < warmUpRounds; i++) round();
  const before = nativeBytes();
  for (let i = 0; i < ROUNDS; i++) round();
  return nativeBytes() - before;
}

function nativeBytes(): number {
  libc.malloc_trim(0);
  const { rss, heapTotal, arrayBuffers } = process.memoryUsage();
  return rss - heapTotal - arrayBuffers;
}

test('making and freeing contexts leaves nothing behind, refused ones included', () => {
  const growth = growthBytes(300, () => {
    NativeTlsContext.create(material).release();
    assert.throws(() => NativeTlsContext.create({ ...material, privateKeyPem: root.privateKeyPem }));
  });
  assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes more`);
});

test('handshakes leave nothing behind, refused ones included', () => {
  const server = NativeTlsContext.create(material);
  const client = NativeTlsContext.create(material);
  const refused = NativeTlsContext.create({ ...material, alpn: 'http/1.1' });
  let met = 0;
  const growth = growthBytes(200, () => {
    const pair = shakeHands(client, server);
    if (pair.client.error === null && peerLeafDer(pair.server.ssl) !== null) met++;
    pair.free();
    shakeHands(refused, server).free();
  });
  assert.equal(met, 200 + ROUNDS);
  assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes more`);
});
