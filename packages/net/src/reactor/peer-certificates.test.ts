import assert from 'node:assert/strict';
import test from 'node:test';
import { PEER_CERTIFICATES_KEPT } from './limits.ts';
import { PeerCertificates } from './peer-certificates.ts';

test('equal certificates are one object, and different ones never', () => {
  const peers = new PeerCertificates();
  const first = peers.peerOf(Uint8Array.of(1, 2, 3), 'h2');
  assert.equal(peers.peerOf(Uint8Array.of(1, 2, 3), 'h2'), first);
  const same = (bytes: number[]) => peers.peerOf(Uint8Array.from(bytes), 'h2');
  for (const bytes of [
    [9, 2, 3],
    [2, 3],
    [1, 2, 4],
    [0, 1, 2, 3],
  ]) {
    assert.deepEqual(same(bytes).leafDer, Uint8Array.from(bytes));
  }
  assert.deepEqual(peers.peerOf(Uint8Array.of(1, 2, 3), 'istio'), { leafDer: Uint8Array.of(1, 2, 3), alpn: 'istio' });
});

test('a peer without a certificate and an empty one are told apart', () => {
  const peers = new PeerCertificates();
  assert.equal(peers.peerOf(null, 'h2').leafDer, null);
  assert.deepEqual(peers.peerOf(new Uint8Array(0), 'h2').leafDer, new Uint8Array(0));
});

test('a certificate is kept until another takes its slot', () => {
  const peers = new PeerCertificates();
  const make = (number: number) => peers.peerOf(Uint8Array.of(number >> 16, number >> 8, number), 'h2');
  const first = make(7);
  for (let number = 8; number < 7 + PEER_CERTIFICATES_KEPT; number++) make(number);
  assert.equal(make(7), first);
  make(7 + PEER_CERTIFICATES_KEPT);
  assert.notEqual(make(7), first);
});
