import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, createSign, createVerify, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type IssuedCertificate, LocalAuthority } from './local-authority.ts';

const IDENTITY = 'spiffe://cluster.local/ns/default/sa/web';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const now = () => Date.now();

test('a leaf carries an empty subject, one URI name, both usages and no CA right', async () => {
  const authority = await LocalAuthority.create({ nowMs: now });
  const leaf = new X509Certificate((await authority.issue(IDENTITY)).certificateChainPem);
  assert.equal(leaf.subject ?? '', '');
  assert.equal(leaf.subjectAltName, `URI:${IDENTITY}`);
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, [SERVER_AUTH, CLIENT_AUTH]);
  assert.equal(leaf.issuer, 'O=cluster.local');
  assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
});

test('the root is a CA that signed itself and the leaf', async () => {
  const authority = await LocalAuthority.create({ nowMs: now });
  const root = new X509Certificate(authority.rootsPem);
  const leaf = new X509Certificate((await authority.issue(IDENTITY)).certificateChainPem);
  assert.equal(root.ca, true);
  assert.ok(root.verify(root.publicKey));
  assert.ok(leaf.verify(root.publicKey));
  assert.ok(leaf.checkIssued(root));
});

test('the private key is PKCS#8 and belongs to the leaf, whose DER is the first certificate of the chain', async () => {
  const authority = await LocalAuthority.create({ nowMs: now, intermediate: true });
  const issued = await authority.issue(IDENTITY);
  assert.match(issued.privateKeyPem, /^-----BEGIN PRIVATE KEY-----\n/);
  const leaf = new X509Certificate(issued.leafDer);
  assert.equal(leaf.fingerprint256, new X509Certificate(issued.certificateChainPem).fingerprint256);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(issued.privateKeyPem)));
  const signature = createSign('sha256').update('text').sign(issued.privateKeyPem);
  assert.ok(createVerify('sha256').update('text').verify(leaf.publicKey, signature));
});

test('lifetimes follow the given clock, a notBefore and a ttl', async () => {
  const clockMs = Date.UTC(2030, 0, 1);
  const authority = await LocalAuthority.create({ nowMs: () => clockMs });
  const day = new X509Certificate((await authority.issue(IDENTITY)).leafDer);
  assert.equal(day.validFromDate.getTime(), clockMs - 120_000);
  assert.equal(day.validToDate.getTime(), clockMs + 86_400_000);
  const notBefore = new Date(Date.UTC(2051, 5, 1));
  const late = new X509Certificate((await authority.issue(IDENTITY, { notBefore, ttlMs: 60_000 })).leafDer);
  assert.equal(late.validFromDate.getTime(), notBefore.getTime());
  assert.equal(late.validToDate.getTime(), notBefore.getTime() + 60_000);
});

test('usages, further names and a missing name are as asked', async () => {
  const authority = await LocalAuthority.create({ nowMs: now });
  const client = new X509Certificate((await authority.issue(IDENTITY, { usages: ['clientAuth'] })).leafDer);
  assert.deepEqual(client.keyUsage, [CLIENT_AUTH]);
  const other = 'spiffe://other/ns/a/sa/b';
  const two = new X509Certificate((await authority.issue(IDENTITY, { extraSans: [other] })).leafDer);
  assert.equal(two.subjectAltName, `URI:${IDENTITY}, URI:${other}`);
  assert.equal(new X509Certificate((await authority.issue(null)).leafDer).subjectAltName, undefined);
});

test('openssl verifies leaves for both purposes, with and without an intermediate, and refuses another root', async () => {
  for (const intermediate of [false, true]) {
    const authority = await LocalAuthority.create({ nowMs: now, intermediate });
    const stranger = await LocalAuthority.create({ nowMs: now });
    const issued = await authority.issue(IDENTITY);
    assert.equal(issued.certificateChainPem.match(/BEGIN CERTIFICATE/g)?.length, intermediate ? 2 : 1);
    for (const purpose of ['sslserver', 'sslclient']) {
      assert.equal(opensslVerifies(authority.rootsPem, issued, purpose), true);
      assert.equal(opensslVerifies(stranger.rootsPem, issued, purpose), false);
    }
    const clientOnly = await authority.issue(IDENTITY, { usages: ['clientAuth'] });
    assert.equal(opensslVerifies(authority.rootsPem, clientOnly, 'sslserver'), false);
    const expired = await authority.issue(IDENTITY, { notBefore: new Date(Date.now() - 5000), ttlMs: 1000 });
    assert.equal(opensslVerifies(authority.rootsPem, expired, 'sslserver'), false);
  }
});

test('openssl prints the name and the key usage as critical', async () => {
  const authority = await LocalAuthority.create({ nowMs: now });
  const { leafDer } = await authority.issue(IDENTITY);
  const text = execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], { input: leafDer }).toString();
  assert.match(text, /Subject Alternative Name: critical\s+URI:spiffe:/);
  assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /Subject: *\n/);
});

function opensslVerifies(rootsPem: string, issued: IssuedCertificate, purpose: string): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-authority-'));
  try {
    writeFileSync(join(folder, 'roots.pem'), rootsPem);
    writeFileSync(join(folder, 'chain.pem'), issued.certificateChainPem);
    const files = ['-CAfile', 'roots.pem', '-untrusted', 'chain.pem', 'chain.pem'];
    const run = spawnSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, ...files], { cwd: folder });
    return run.status === 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
