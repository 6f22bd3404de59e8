/** The network namespace of a pod, held open: so long the kernel gives its inode and device to no other. */
import { type NamespaceIdentity, namespaceIdentity, openNamespace } from '@ambit/platform/namespace';
import { closeDescriptor } from '@ambit/platform/socket';

export interface NetworkNamespace {
  readonly path: string;
  readonly fd: number;
  readonly identity: NamespaceIdentity;
  close(): void;
}

/** Throws `SYSTEM_CALL` where there is none. */
export function openNetworkNamespace(path: string): NetworkNamespace {
  const fd = openNamespace(path);
  return { path, fd, identity: namespaceIdentity(fd), close: () => closeDescriptor(fd) };
}

export function isSameNamespace(a: NamespaceIdentity, b: NamespaceIdentity): boolean {
  return a.inode === b.inode && a.device === b.device;
}

/** Null where there is none. */
export function identityAt(path: string): NamespaceIdentity | null {
  try {
    const network = openNetworkNamespace(path);
    network.close();
    return network.identity;
  } catch {
    return null;
  }
}

export function leadsTo(path: string, identity: NamespaceIdentity): boolean {
  const found = identityAt(path);
  return found !== null && isSameNamespace(found, identity);
}
