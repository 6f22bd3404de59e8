/**
 * The pods that this agent has enrolled, with the namespace of each. A namespace belongs to one pod, and to the pod that
 * has its address: a process of one pod that was seen inside of another's namespace must not pair the two.
 */
import { AmbitError } from '@ambit/base/errors';
import type { NamespaceIdentity } from '@ambit/platform/namespace';
import { canonicalIp } from '@ambit/wire/ip';
import type { ZdsPod } from '@ambit/wire/zds';
import type { KnownPod, KnownPods } from './known-pods.ts';
import type { ReadAddresses } from './namespace-addresses.ts';
import { isSameNamespace, type NetworkNamespace } from './network-namespace.ts';

export interface PodEntry extends ZdsPod {
  readonly uid: string;
  /** Null: not at hand; the proxy keeps what it has. */
  readonly network: NetworkNamespace | null;
}

export class PodSet implements KnownPods {
  readonly #entries = new Map<string, PodEntry>();

  get size(): number {
    return this.#entries.size;
  }

  get(uid: string): KnownPod | undefined {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return undefined;
    const { network, ...pod } = entry;
    return { ...pod, namespaceFd: network?.fd ?? null };
  }

  network(uid: string): NetworkNamespace | null {
    return this.#entries.get(uid)?.network ?? null;
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  uids(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * The namespace is the set's from now on; one that was known of the pod before is closed. Throws `POD_NAMESPACE_TAKEN`
   * where it is another pod's, and then stays the caller's.
   */
  put(entry: PodEntry): void {
    const { uid, network } = entry;
    if (network !== null) this.checkFree(uid, network.identity);
    const before = this.network(uid);
    this.#entries.set(uid, entry);
    if (before !== network) before?.close();
  }

  delete(uid: string): void {
    this.network(uid)?.close();
    this.#entries.delete(uid);
  }

  /** Throws `POD_NAMESPACE_TAKEN` where a namespace is another pod's. */
  checkFree(uid: string, identity: NamespaceIdentity): void {
    for (const { uid: owner, network } of this.#entries.values()) {
      if (owner === uid || network === null || !isSameNamespace(network.identity, identity)) continue;
      throw ownershipError('POD_NAMESPACE_TAKEN', `the namespace of pod ${uid} belongs to pod ${owner}`, 'safe');
    }
  }
}

export interface OwnershipDeps {
  readonly pods: PodSet;
  /** The agent's own namespace is no pod's. */
  readonly ownIdentity: NamespaceIdentity;
  readonly readAddresses: ReadAddresses;
}

/** Throws where the namespace is not, or not surely, this pod's. `ips` as the cluster knows them; one must be inside. */
export async function checkOwnership(
  uid: string,
  ips: readonly string[],
  network: NetworkNamespace,
  { pods, ownIdentity, readAddresses }: OwnershipDeps,
): Promise<void> {
  if (isSameNamespace(network.identity, ownIdentity)) {
    throw ownershipError('POD_HOST_NETWORK', `pod ${uid} has the namespace of the node`, 'never');
  }
  pods.checkFree(uid, network.identity);
  if (ips.length === 0) throw ownershipError('POD_WITHOUT_ADDRESS', `pod ${uid} has no address yet`, 'safe');
  const found = await readAddresses(network.fd);
  if (ips.some((ip) => found.includes(canonicalIp(ip) ?? ip))) return;
  const has = found.length === 0 ? 'no address' : found.join(', ');
  throw ownershipError('POD_ADDRESS_MISMATCH', `pod ${uid} is ${ips.join(', ')}, its namespace has ${has}`, 'safe');
}

function ownershipError(code: string, message: string, retry: 'safe' | 'never'): AmbitError {
  return new AmbitError(code, message, {
    side: 'internal',
    retry,
    hint: 'Check which network namespace the pod runs in: `ip -n NAME address` shows the addresses of one.',
  });
}
