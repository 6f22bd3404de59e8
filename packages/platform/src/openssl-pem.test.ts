import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import test from 'node:test';
import { mintRoot, mintWorkload } from './certificates.fixture.ts';
import { openssl } from './ffi.ts';
import { NativeTlsContext, type NativeTlsOptions } from './openssl.ts';

const root = mintRoot();
const leaf = mintWorkload(root);
const usable: NativeTlsOptions = {
  certificateChainPem: leaf.certificatePem,
  privateKeyPem: leaf.privateKeyPem,
  rootsPem: root.certificatePem,
  alpn: 'h2',
};

const truncated = leaf.certificatePem.replace(/-----END[\s\S]*/, '');
const corrupt = leaf.certificatePem.replace(/\n(.{64})\n/, '\nAAAA\n');
const encrypted = createPrivateKey(leaf.privateKeyPem)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
  .toString();

const UNUSABLE: readonly [string, Partial<NativeTlsOptions>, RegExp][] = [
  ['an empty chain', { certificateChainPem: '' }, /^no certificate found in the certificate chain$/],
  ['a truncated chain', { certificateChainPem: truncated }, /^certificate 1 of the certificate chain cannot be read: /],
  [
    'a broken second certificate',
    { certificateChainPem: leaf.certificatePem + corrupt },
    /^certificate 2 of the certificate chain cannot be read: /,
  ],
  ['a key as chain', { certificateChainPem: leaf.privateKeyPem }, /^no certificate found in the certificate chain$/],
  ['a chain without key', { privateKeyPem: undefined }, /^a certificate chain is given without its private key$/],
  ['a key without chain', { certificateChainPem: undefined }, /^a private key is given without a certificate chain$/],
  ['no key in the key', { privateKeyPem: leaf.certificatePem }, /^the private key cannot be read: /],
  ['an encrypted key', { privateKeyPem: encrypted }, /^the private key cannot be read: /],
  [
    'a stranger’s key',
    { privateKeyPem: root.privateKeyPem },
    /^the private key does not belong to the first certificate of the chain: key values mismatch$/,
  ],
  ['empty roots', { rootsPem: '\n' }, /^no certificate found in the roots$/],
  ['broken roots', { rootsPem: root.certificatePem + corrupt }, /^certificate 2 of the roots cannot be read: /],
  ['an unknown group', { groups: 'X25519:nonsense' }, /^the groups "X25519:nonsense" are not understood/],
  ['a megabyte of PEM', { rootsPem: 'x'.repeat(2 << 20) }, /bytes of PEM are more than/],
];

for (const [title, change, message] of UNUSABLE) {
  test(`material is refused by name: ${title}`, () => {
    assert.throws(
      () => NativeTlsContext.create({ ...usable, ...change }),
      (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, message);
        assert.equal((error as { code?: string }).code, 'TLS_MATERIAL');
        return true;
      },
    );
    assert.equal(openssl.ERR_peek_error(), 0, 'and no error stays behind for the next connection');
  });
}

test('usable material leaves no error behind either', () => {
  NativeTlsContext.create(usable).release();
  assert.equal(openssl.ERR_peek_error(), 0);
});

test('an EC key in SEC 1 form and text around the blocks are read', () => {
  const sec1 = createPrivateKey(leaf.privateKeyPem).export({ type: 'sec1', format: 'pem' }).toString();
  const chatty = `subject=workload\n${leaf.certificatePem}trailing words\n`;
  NativeTlsContext.create({ ...usable, privateKeyPem: `note\n${sec1}`, certificateChainPem: chatty }).release();
});
