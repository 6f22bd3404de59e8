/**
 * One copy of each peer's certificate for all its connections: a node's peers show few certificates on many. A table of
 * the latest ones, one per slot, so that it neither grows nor needs to be cleaned.
 */
import type { TlsPeer } from '../engine.ts';
import { PEER_CERTIFICATES_KEPT } from './limits.ts';

export class PeerCertificates {
  readonly #latest: (TlsPeer | null)[] = new Array<TlsPeer | null>(PEER_CERTIFICATES_KEPT).fill(null);

  /** The same object as long as the same bytes were the last in their slot. */
  peerOf(leafDer: Uint8Array | null, alpn: string): TlsPeer {
    if (leafDer === null) return { leafDer, alpn };
    const slot = slotOf(leafDer);
    const latest = this.#latest[slot] ?? null;
    if (latest !== null && latest.alpn === alpn && sameBytes(latest.leafDer, leafDer)) return latest;
    const peer: TlsPeer = { leafDer, alpn };
    this.#latest[slot] = peer;
    return peer;
  }
}

/** A certificate ends with its signature, whose last bytes are as good as random. */
function slotOf(leafDer: Uint8Array): number {
  const last = leafDer.length - 1;
  return (((leafDer[last - 1] ?? 0) << 8) | (leafDer[last] ?? 0)) % PEER_CERTIFICATES_KEPT;
}

function sameBytes(a: Uint8Array | null, b: Uint8Array): boolean {
  return a !== null && Buffer.compare(a, b) === 0;
}
