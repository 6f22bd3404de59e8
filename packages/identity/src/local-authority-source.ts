/** Certificates from an authority in this process: one machine without a CA service, and tests (as ztunnel's FAKE_CA). */
import { X509Certificate } from 'node:crypto';
import { type CertificateSource, type WorkloadCertificate, workloadCertificate } from './certificate-source.ts';
import type { LocalAuthority } from './local-authority.ts';

export interface LocalAuthoritySourceOptions {
  /** Life of the leaves; the authority's default when left out. */
  readonly ttlMs?: number;
}

export class LocalAuthoritySource implements CertificateSource {
  readonly #authority: LocalAuthority;
  readonly #options: LocalAuthoritySourceOptions;

  constructor(authority: LocalAuthority, options: LocalAuthoritySourceOptions = {}) {
    this.#authority = authority;
    this.#options = options;
  }

  async fetch(identity: string): Promise<WorkloadCertificate> {
    const { certificateChainPem, privateKeyPem, leafDer } = await this.#authority.issue(identity, this.#options);
    const { rootsPem } = this.#authority;
    return workloadCertificate(identity, new X509Certificate(leafDer), {
      certificateChainPem,
      privateKeyPem,
      rootsPem,
    });
  }
}
