/** Where a workload's certificate comes from, behind one interface: a CA over gRPC, an authority in this process, a test. */
import type { X509Certificate } from 'node:crypto';

/** The shape of an engine's `TlsMaterial`. */
export interface WorkloadTlsMaterial {
  /** Leaf first, then intermediates; never the root. */
  readonly certificateChainPem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
  /** Peers must chain to one of these. */
  readonly rootsPem: string;
  readonly alpn: 'h2';
}

export interface WorkloadCertificate {
  /** As asked for: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
  readonly identity: string;
  readonly material: WorkloadTlsMaterial;
  readonly leafDer: Uint8Array;
  /** Hexadecimal, upper case. */
  readonly serialNumber: string;
  /** Wall clock. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CertificateSource {
  /** Rejects with an `AmbitError`. After the signal nobody waits for the result. */
  fetch(identity: string, signal: AbortSignal): Promise<WorkloadCertificate>;
}

/** The dates and the serial number are the leaf's own. */
export function workloadCertificate(
  identity: string,
  leaf: X509Certificate,
  material: Omit<WorkloadTlsMaterial, 'alpn'>,
): WorkloadCertificate {
  return {
    identity,
    material: { ...material, alpn: 'h2' },
    leafDer: new Uint8Array(leaf.raw),
    serialNumber: leaf.serialNumber,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}
