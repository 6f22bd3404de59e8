/**
 * What of TLS the simulation keeps: certificates are parsed, matched with their key and verified for real (chain, dates,
 * extended key usage), by the rules that OpenSSL applies for the reactor. The bytes of a connection stay as they are.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { assert } from '@ambit/base/assert';
import type { TlsContext, TlsMaterial } from '../engine.ts';
import { tlsMaterial } from '../errors.ts';

export type TlsPurpose = 'serverAuth' | 'clientAuth';

const PURPOSE_OIDS: Readonly<Record<TlsPurpose, string>> = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};
/** Certificates between leaf and root, inclusive: far more than any mesh has. */
const CHAIN_LENGTH_MAX = 8;

export class MemoryTlsContext implements TlsContext {
  readonly material: TlsMaterial;
  /** Leaf first; empty for a client that shows none. */
  readonly chain: readonly Certificate[];
  /** Null: the peer is not verified. */
  readonly roots: readonly Certificate[] | null;
  #released = false;

  /** Throws `TLS_MATERIAL`. */
  constructor(material: TlsMaterial) {
    this.material = material;
    if (material.alpn === '') throw tlsMaterial('the ALPN protocol is empty');
    if ((material.certificateChainPem === undefined) !== (material.privateKeyPem === undefined)) {
      throw tlsMaterial('a certificate needs its private key and the other way round');
    }
    this.chain =
      material.certificateChainPem === undefined ? [] : parseCertificates(material.certificateChainPem, 'chain');
    this.roots = material.rootsPem === undefined ? null : parseCertificates(material.rootsPem, 'roots');
    if (material.privateKeyPem !== undefined) checkKey(this.chain[0]!, material.privateKeyPem);
  }

  release(): void {
    this.#released = true;
  }

  /** A released context may finish what runs with it, but starts nothing new. */
  assertUsable(): void {
    assert(!this.#released, 'a TLS context is not used after its release');
  }
}

export function asMemoryContext(context: TlsContext): MemoryTlsContext {
  assert(context instanceof MemoryTlsContext, 'a TLS context belongs to the engine that made it');
  context.assertUsable();
  return context;
}

/** What Node parses anew at each access, once; and whose signatures were found good. */
export class Certificate {
  readonly x509: X509Certificate;
  readonly der: Uint8Array;
  readonly fingerprint: string;
  readonly validFromMs: number;
  readonly validToMs: number;
  /** Undefined: good for every purpose. */
  readonly usages: readonly string[] | undefined;
  readonly #issuedBy = new Map<string, boolean>();

  constructor(pem: string) {
    this.x509 = new X509Certificate(pem);
    this.der = new Uint8Array(this.x509.raw);
    this.fingerprint = this.x509.fingerprint256;
    this.validFromMs = this.x509.validFromDate.getTime();
    this.validToMs = this.x509.validToDate.getTime();
    this.usages = this.x509.keyUsage;
  }

  isIssuedBy(issuer: Certificate): boolean {
    let issued = this.#issuedBy.get(issuer.fingerprint);
    if (issued === undefined) {
      issued = issuer.x509.ca && this.x509.checkIssued(issuer.x509) && this.x509.verify(issuer.x509.publicKey);
      this.#issuedBy.set(issuer.fingerprint, issued);
    }
    return issued;
  }

  /** Null, or what is wrong, in OpenSSL's words. */
  dateFault(wallMs: number): string | null {
    if (wallMs < this.validFromMs) return 'certificate is not yet valid';
    if (wallMs > this.validToMs) return 'certificate has expired';
    return null;
  }
}

/** Null when the chain leads to one of `roots`, else why not. */
export function verifyChain(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  purpose: TlsPurpose,
  wallMs: number,
): string | null {
  let current = chain[0];
  if (current === undefined) return 'peer did not return a certificate';
  if (current.usages !== undefined && !current.usages.includes(PURPOSE_OIDS[purpose])) {
    return 'unsuitable certificate purpose';
  }
  for (let depth = 0; depth < CHAIN_LENGTH_MAX; depth++) {
    const certificate: Certificate = current;
    const fault = certificate.dateFault(wallMs);
    if (fault !== null) return fault;
    const root = roots.find((candidate) => certificate.isIssuedBy(candidate));
    if (root !== undefined) return root.dateFault(wallMs);
    current = chain.find((candidate) => candidate !== certificate && certificate.isIssuedBy(candidate));
    if (current === undefined) return 'unable to get local issuer certificate';
  }
  return 'certificate chain too long';
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function parseCertificates(pem: string, what: string): Certificate[] {
  const blocks = pem.match(PEM_CERTIFICATE);
  if (blocks === null) throw tlsMaterial(`the ${what} holds no certificate`);
  try {
    return blocks.map((block) => new Certificate(block));
  } catch (thrown) {
    throw tlsMaterial(`the ${what} holds a certificate that cannot be read`, thrown);
  }
}

function checkKey(leaf: Certificate, privateKeyPem: string): void {
  let matches: boolean;
  try {
    matches = leaf.x509.checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch (thrown) {
    throw tlsMaterial('the private key cannot be read', thrown);
  }
  if (!matches) throw tlsMaterial('the private key does not belong to the certificate');
}
