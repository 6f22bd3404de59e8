import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import test from 'node:test';
import { createSigningRequest } from './csr.ts';
import { LocalAuthority } from './local-authority.ts';

const IDENTITY = 'spiffe://cluster.local/ns/default/sa/web';

test('openssl reads a request with an empty subject, a P-256 key and one critical URI name', async () => {
  const { csrPem } = await createSigningRequest(IDENTITY);
  const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], { input: csrPem, stdio: 'pipe' });
  assert.match(text.toString(), /Subject: *\n/);
  assert.match(text.toString(), /ASN1 OID: prime256v1/);
  assert.match(text.toString(), /Signature Algorithm: ecdsa-with-SHA256/);
  assert.match(
    text.toString(),
    /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/default\/sa\/web\n/,
  );
  assert.equal(text.toString().match(/URI:|DNS:|IP Address:|X509v3 /g)?.length, 2);
});

test('every request has a key of its own, and the certificate signed for it belongs to that key', async () => {
  const authority = await LocalAuthority.create({ nowMs: () => Date.now() });
  const [one, two] = await Promise.all([createSigningRequest(IDENTITY), createSigningRequest(IDENTITY)]);
  assert.notEqual(one.privateKeyPem, two.privateKeyPem);
  const leaf = new X509Certificate((await authority.sign(one.csrPem, IDENTITY)).leafDer);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(one.privateKeyPem)));
  assert.ok(!leaf.checkPrivateKey(createPrivateKey(two.privateKeyPem)));
});

test('an authority signs no request whose signature is wrong', async () => {
  const authority = await LocalAuthority.create({ nowMs: () => Date.now() });
  const { csrPem } = await createSigningRequest(IDENTITY);
  const der = Buffer.from(csrPem.replace(/-----[A-Z ]+-----/g, ''), 'base64');
  // One letter of the name, which the signature covers.
  der[der.indexOf('sa/web')] = 'z'.charCodeAt(0);
  await assert.rejects(authority.sign(der.toString('base64'), IDENTITY), /not signed by its key/);
});
