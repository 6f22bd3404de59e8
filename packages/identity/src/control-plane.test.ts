import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { LocalAuthority } from './local-authority.ts';
import { readRoots, rootSource } from './roots.ts';
import { tokenSource } from './token.ts';

test('a setting for roots is a file that exists, the word SYSTEM, PEM, or a file that is yet to come', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-roots-'));
  try {
    const path = join(folder, 'SYSTEM');
    writeFileSync(path, '');
    assert.deepEqual(rootSource(path), { is: 'file', path });
    assert.deepEqual(rootSource('SYSTEM'), { is: 'system' });
    assert.deepEqual(rootSource('-----BEGIN CERTIFICATE-----'), { is: 'inline', pem: '-----BEGIN CERTIFICATE-----' });
    assert.deepEqual(rootSource(join(folder, 'none')), { is: 'file', path: join(folder, 'none') });
    assert.deepEqual(rootSource(), { is: 'file', path: './var/run/secrets/istio/root-cert.pem' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every root of a bundle is read, text around them is not, and what holds none is an error', async () => {
  const [one, two] = await Promise.all([1, 2].map(() => LocalAuthority.create({ nowMs: () => Date.now() })));
  const pem = `# first\r\n${one?.rootsPem}\n# second\n${two?.rootsPem}`;
  const roots = await readRoots({ is: 'inline', pem });
  assert.deepEqual(roots, [one?.rootsPem, two?.rootsPem]);
  for (const broken of ['', 'x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----']) {
    await assert.rejects(readRoots({ is: 'inline', pem: broken }), { code: 'ROOTS_UNREADABLE' });
  }
  await assert.rejects(readRoots({ is: 'file', path: '/nowhere/root.pem' }), { code: 'ROOTS_UNREADABLE' });
  assert.ok(Array.isArray(await readRoots({ is: 'system' })));
});

test('a setting for the token is a file that exists or the token itself, and without one there is none', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-token-'));
  try {
    const path = join(folder, 'token');
    writeFileSync(path, 't');
    assert.deepEqual(tokenSource(path), { is: 'file', path });
    assert.deepEqual(tokenSource('abc'), { is: 'literal', token: 'abc' });
    assert.equal(tokenSource(undefined), null);
    assert.equal(tokenSource(''), null);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
