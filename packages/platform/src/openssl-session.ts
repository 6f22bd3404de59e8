/** What a handshake established, asked of an `SSL *` after it. */
import { assert } from '@ambit/base/assert';
import { libc, openssl } from './ffi.ts';
import { CERTIFICATE_LIST_BYTES_MAX } from './limits.ts';
import { Region } from './region.ts';

const X509_V_OK = 0;
const ALPN_BYTES_MAX = 255;
/** Two pointers, then the bytes they are about. */
const BYTES_AT = 16;

/** The smallest X.509 certificate: no names, the year 1970, an algorithm and a key that do not exist. */
const SMALLEST_CERTIFICATE = Uint8Array.from(
  Buffer.from(
    '30433038020101300406022a033000301e170d3730303130313030303030305a170d3730303130313030303030305a' +
      '30003009300406022a03030100300406022a03030100',
    'hex',
  ),
);

const scratch = Region.map(BYTES_AT + CERTIFICATE_LIST_BYTES_MAX);

/** A copy of the certificate that the peer proved to own, or null. Trust only what `negotiationFailure` let pass. */
export function peerLeafDer(ssl: number): Uint8Array | null {
  const certificate = openssl.SSL_get1_peer_certificate(ssl);
  if (certificate === 0) return null;
  try {
    const lengthBytes = openssl.i2d_X509(certificate, 0);
    assert(lengthBytes > 0 && lengthBytes <= CERTIFICATE_LIST_BYTES_MAX, 'OpenSSL holds certificates within the cap');
    scratch.view.setBigUint64(0, BigInt(scratch.at(BYTES_AT, lengthBytes)), true);
    openssl.i2d_X509(certificate, scratch.at(0, 8));
    return scratch.bytes.slice(BYTES_AT, BYTES_AT + lengthBytes);
  } finally {
    openssl.X509_free(certificate);
  }
}

/**
 * Frees what OpenSSL keeps of the peer's certificates, 8 of a connection's 33 KB, once nobody asks for them any more:
 * `peerLeafDer` says nothing true afterwards. The chains give up their entries. The session's own reference to the leaf
 * cannot be taken away, so the smallest certificate is decoded into its place. TLS 1.3 without post-handshake
 * authentication never looks there again; a ticket from the peer copies the reference.
 */
export function forgetPeerCertificates(ssl: number): void {
  openssl.ERR_clear_error();
  freeEntries(openssl.SSL_get_peer_cert_chain(ssl));
  freeEntries(openssl.SSL_get0_verified_chain(ssl));
  const leaf = openssl.SSL_get1_peer_certificate(ssl);
  if (leaf === 0) return;
  scratch.bytes.set(SMALLEST_CERTIFICATE, BYTES_AT);
  scratch.view.setBigUint64(0, BigInt(leaf), true);
  scratch.view.setBigUint64(8, BigInt(scratch.at(BYTES_AT, SMALLEST_CERTIFICATE.length)), true);
  // It fails for want of memory only, and then has freed our reference; the session's remains.
  if (openssl.d2i_X509(scratch.at(0, 8), scratch.at(8, 8), SMALLEST_CERTIFICATE.length) !== 0) openssl.X509_free(leaf);
  openssl.ERR_clear_error();
}

/** Each entry of a chain is a reference of the chain's own. */
function freeEntries(chain: number): void {
  for (;;) {
    const certificate = openssl.OPENSSL_sk_pop(chain);
    if (certificate === 0) return;
    openssl.X509_free(certificate);
  }
}

/** '' when none was agreed. */
export function selectedAlpn(ssl: number): string {
  openssl.SSL_get0_alpn_selected(ssl, scratch.at(0, 8), scratch.at(8, 4));
  const lengthBytes = scratch.view.getUint32(8, true);
  if (lengthBytes === 0) return '';
  assert(lengthBytes <= ALPN_BYTES_MAX, 'an ALPN name has at most 255 bytes');
  libc.memmove(scratch.at(BYTES_AT, lengthBytes), Number(scratch.view.getBigUint64(0, true)), lengthBytes);
  return Buffer.from(scratch.bytes.subarray(BYTES_AT, BYTES_AT + lengthBytes)).toString('latin1');
}

/** Why the peer's certificate was not accepted; null when it was, or when none was looked at. */
export function verifyFailure(ssl: number): string | null {
  const result = openssl.SSL_get_verify_result(ssl);
  return result === X509_V_OK ? null : openssl.X509_verify_cert_error_string(result);
}

/**
 * Why a finished handshake must still be refused, or null. OpenSSL lets a peer that takes no part in ALPN pass, which
 * RFC 7301 allows and the mesh does not.
 */
export function negotiationFailure(ssl: number, alpn: string): string | null {
  const selected = selectedAlpn(ssl);
  if (selected === alpn) return null;
  return selected === '' ? `the peer did not agree to ALPN ${alpn}` : `the peer chose ALPN ${selected}, not ${alpn}`;
}
