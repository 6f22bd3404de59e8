import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import test from 'node:test';
import { LocalAuthority } from './local-authority.ts';
import { LocalAuthoritySource } from './local-authority-source.ts';
import { ManualWorld, settled } from './manual-world.fixture.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/web';

test('certificates of an authority in this process pass through the manager and are renewed by the same clock', async () => {
  const world: ManualWorld = new ManualWorld({}, { fetch: (identity) => source.fetch(identity) });
  const authority = await LocalAuthority.create({ nowMs: () => world.clock.nowMs() });
  const source = new LocalAuthoritySource(authority, { ttlMs: 60_000 });
  const { material, leafDer, notAfterMs, identity } = await world.manager.certificate(ID);
  assert.equal(identity, ID);
  assert.equal(notAfterMs, world.clock.nowMs() + 60_000);
  assert.equal(material.rootsPem, authority.rootsPem);
  const leaf = new X509Certificate(leafDer);
  assert.equal(leaf.subjectAltName, `URI:${ID}`);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(material.privateKeyPem)));
  await world.advance(30_000);
  while (world.announced.length < 2) await settled();
  assert.notEqual(world.manager.current(ID)?.serialNumber, leaf.serialNumber);
});
