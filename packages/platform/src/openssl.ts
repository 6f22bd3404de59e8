/**
 * TLS contexts in node's own OpenSSL. The profile is Istio ambient's (ztunnel): TLS 1.3 alone, two AES-GCM suites, no
 * resumption (design, FFI rule 14), mutual authentication when roots are given, one ALPN that both sides must want.
 */
import { assert } from '@ambit/base/assert';
import { openssl } from './ffi.ts';
import { CERTIFICATE_LIST_BYTES_MAX } from './limits.ts';
import { alpnList, selectAlpn } from './openssl-alpn.ts';
import { drainTlsErrors } from './openssl-errors.ts';
import { freeCertificates, MaterialScratch, materialError, readCertificates, readPrivateKey } from './openssl-pem.ts';

export { drainTlsErrors } from './openssl-errors.ts';
export {
  forgetPeerCertificates,
  negotiationFailure,
  peerLeafDer,
  selectedAlpn,
  verifyFailure,
} from './openssl-session.ts';

const CIPHERSUITES = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256';
/**
 * Classic groups only. OpenSSL 3.5 would by itself offer X25519MLKEM768 as well, which adds 1.2 KB to the ClientHello
 * (no longer one segment) and an ML-KEM key to each dial. Post-quantum secrecy is one `groups` away.
 */
const GROUPS = 'X25519:P-256:P-384';

const TLS1_3_VERSION = 0x0304;
const SSL_OP_NO_TICKET = 0x4000;
/** RFC 8879, which this OpenSSL does unasked: Brotli takes 6 ms of a handshake's 8 to save 200 bytes. */
const SSL_OP_NO_CERTIFICATE_COMPRESSION = 2 ** 32 + 2 ** 33;
const SSL_VERIFY_NONE = 0;
const SSL_VERIFY_PEER_REQUIRED = 1 | 2;
const SSL_SESS_CACHE_OFF = 0;
const X509_V_FLAG_PARTIAL_CHAIN = 0x80000;
/**
 * Buffers may move between attempts, and idle connections give theirs back. No partial writes: one call seals all that
 * it is given, where partial ones return after each record.
 */
const SSL_MODE_MOVING_RELEASE = 0x2 | 0x10;
/** Send the chain as given: OpenSSL would complete it from the trusted roots, and Istio's peers send no root. */
const SSL_MODE_NO_AUTO_CHAIN = 0x8;
const CTRL = {
  mode: 33,
  readAhead: 41,
  sessionCacheMode: 44,
  certificateListBytesMax: 51,
  addToChain: 89,
  groups: 92,
  minimumVersion: 123,
} as const;

export interface NativeTlsOptions {
  /** Leaf first, then intermediates. Undefined: a client that shows no certificate. */
  readonly certificateChainPem?: string | undefined;
  readonly privateKeyPem?: string | undefined;
  /** Peers must show a certificate that chains to one of these. Undefined: peers are neither asked nor verified. */
  readonly rootsPem?: string | undefined;
  /** Offered and selected. A peer that sends no ALPN at all is found by `negotiationFailure`, after the handshake. */
  readonly alpn: string;
  /** Key agreement in order of preference, in OpenSSL's syntax. */
  readonly groups?: string | undefined;
  /**
   * An intermediate among `rootsPem` is a trust anchor of its own, as it is for rustls. Off unless asked for, because
   * it also makes an anchor of an end-entity certificate that got into a bundle by mistake.
   */
  readonly trustIntermediates?: boolean | undefined;
  /** More than 0: read records ahead into a buffer of this size, for fewer system calls. */
  readonly readAheadBytes?: number | undefined;
}

/** Never changed after creation (design, FFI rule 3): rotation makes another. Counted, freed with the last `release`. */
export class NativeTlsContext {
  readonly alpn: string;
  #address: number;
  #references = 1;

  private constructor(address: number, alpn: string) {
    this.#address = address;
    this.alpn = alpn;
  }

  /** Throws `TLS_MATERIAL` that names which of chain, key and roots cannot be used, and why. */
  static create(options: NativeTlsOptions): NativeTlsContext {
    openssl.ERR_clear_error();
    const address = openssl.SSL_CTX_new(openssl.TLS_method());
    if (address === 0) throw materialError('a TLS context cannot be made', drainTlsErrors());
    const material = new MaterialScratch();
    try {
      configure(address, options, material);
      useIdentity(address, options, material);
      useRoots(address, options, material);
      return new NativeTlsContext(address, options.alpn);
    } catch (error) {
      openssl.SSL_CTX_free(address);
      throw error;
    } finally {
      material.wipe();
      openssl.ERR_clear_error();
    }
  }

  /** The `SSL_CTX *`, for `SSL_new`, which takes a reference of its own. */
  get address(): number {
    assert(this.#references > 0, 'a TLS context is used before its last release');
    return this.#address;
  }

  retain(): this {
    assert(this.#references > 0, 'a TLS context is retained before its last release');
    this.#references++;
    return this;
  }

  release(): void {
    assert(this.#references > 0, 'a TLS context is released as often as it was retained');
    if (--this.#references > 0) return;
    openssl.SSL_CTX_free(this.#address);
    this.#address = 0;
  }
}

function configure(context: number, options: NativeTlsOptions, material: MaterialScratch): void {
  const { readAheadBytes = 0, groups = GROUPS } = options;
  const control = (command: number, number: number, pointer = 0) =>
    openssl.SSL_CTX_ctrl(context, command, number, pointer);
  let ok = control(CTRL.minimumVersion, TLS1_3_VERSION) === 1;
  ok &&= openssl.SSL_CTX_set_ciphersuites(context, CIPHERSUITES) === 1;
  ok &&= openssl.SSL_CTX_set_num_tickets(context, 0) === 1;
  if (!ok) throw materialError('this OpenSSL refuses the TLS profile', drainTlsErrors());
  if (control(CTRL.groups, 0, material.text(groups).address) !== 1) {
    throw materialError(`the groups ${JSON.stringify(groups)} are not understood`, drainTlsErrors());
  }
  openssl.SSL_CTX_set_options(context, SSL_OP_NO_TICKET + SSL_OP_NO_CERTIFICATE_COMPRESSION);
  control(CTRL.sessionCacheMode, SSL_SESS_CACHE_OFF);
  control(CTRL.mode, SSL_MODE_MOVING_RELEASE | SSL_MODE_NO_AUTO_CHAIN);
  control(CTRL.certificateListBytesMax, CERTIFICATE_LIST_BYTES_MAX);
  if (readAheadBytes > 0) {
    control(CTRL.readAhead, 1);
    openssl.SSL_CTX_set_default_read_buffer_len(context, readAheadBytes);
  }
  const list = alpnList(options.alpn);
  const refused = openssl.SSL_CTX_set_alpn_protos(context, list.address, list.lengthBytes);
  if (refused !== 0) throw materialError(`the ALPN ${JSON.stringify(options.alpn)} is not usable`, drainTlsErrors());
  selectAlpn(context, list);
}

function useIdentity(context: number, options: NativeTlsOptions, material: MaterialScratch): void {
  const { certificateChainPem, privateKeyPem } = options;
  if (certificateChainPem === undefined && privateKeyPem === undefined) return;
  if (certificateChainPem === undefined) throw materialError('a private key is given without a certificate chain', '');
  if (privateKeyPem === undefined) throw materialError('a certificate chain is given without its private key', '');
  const chain = readCertificates(certificateChainPem, 'certificate chain', material);
  try {
    chain.forEach((certificate, index) => {
      const ok =
        index === 0
          ? openssl.SSL_CTX_use_certificate(context, certificate) === 1
          : openssl.SSL_CTX_ctrl(context, CTRL.addToChain, 1, certificate) === 1;
      if (!ok) throw materialError(`certificate ${index + 1} of the chain is not usable`, drainTlsErrors());
    });
  } finally {
    freeCertificates(chain);
  }
  const key = readPrivateKey(privateKeyPem, material);
  const used = openssl.SSL_CTX_use_PrivateKey(context, key) === 1 && openssl.SSL_CTX_check_private_key(context) === 1;
  openssl.EVP_PKEY_free(key);
  if (!used)
    throw materialError('the private key does not belong to the first certificate of the chain', drainTlsErrors());
}

function useRoots(context: number, options: NativeTlsOptions, material: MaterialScratch): void {
  if (options.rootsPem === undefined) {
    openssl.SSL_CTX_set_verify(context, SSL_VERIFY_NONE, 0);
    return;
  }
  const store = openssl.SSL_CTX_get_cert_store(context);
  const roots = readCertificates(options.rootsPem, 'roots', material);
  try {
    roots.forEach((root, index) => {
      if (openssl.X509_STORE_add_cert(store, root) === 1) return;
      throw materialError(`certificate ${index + 1} of the roots is not usable`, drainTlsErrors());
    });
  } finally {
    freeCertificates(roots);
  }
  if (options.trustIntermediates === true) openssl.X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  openssl.SSL_CTX_set_verify(context, SSL_VERIFY_PEER_REQUIRED, 0);
}
