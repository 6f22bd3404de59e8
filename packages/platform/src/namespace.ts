/**
 * Network namespaces (setns(2), namespaces(7)). A socket belongs for good to the namespace it was made in, so entering
 * takes only as long as making it does. setns moves the calling thread alone.
 */
import { fstatSync, writeSync } from 'node:fs';
import { assert } from '@ambit/base/assert';
import { errnoName, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { SystemCallError } from './system-call-error.ts';

const CLONE_NEWNET = 0x40000000;
const NS_GET_NSTYPE = 0xb703;
const O_RDONLY_CLOEXEC = 0o2000000;

let ownFd = -1;
let inside = false;

/**
 * Runs `action` in another namespace. `action` makes foreign calls and nothing else, for JavaScript that waits or throws
 * halfway would carry on in the wrong namespace; it reads errno itself, since leaving may change it. A process that
 * cannot come back ends: every later socket would be a stranger's.
 */
export function withinNamespace<T>(namespaceFd: number, action: () => T): T {
  assert(!inside, 'namespaces are not entered from within one another');
  if (ownFd < 0) ownFd = openNamespace('/proc/thread-self/ns/net');
  if (libc.setns(namespaceFd, CLONE_NEWNET) !== 0) {
    throw new SystemCallError('setns', lastErrno(), `to the network namespace of descriptor ${namespaceFd}`);
  }
  inside = true;
  try {
    return action();
  } finally {
    if (libc.setns(ownFd, CLONE_NEWNET) !== 0) abortStranded(lastErrno());
    inside = false;
  }
}

/** Opens a namespace by path (`/run/netns/pod`) or by the id of a process in it. The caller closes the descriptor. */
export function openNamespace(pathOrPid: string | number): number {
  const path = typeof pathOrPid === 'number' ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  const fd = libc.open(path, O_RDONLY_CLOEXEC, 0);
  if (fd < 0) throw new SystemCallError('open', lastErrno(), path);
  return fd;
}

/** Two descriptors are of the same namespace when both numbers are equal. */
export interface NamespaceIdentity {
  readonly inode: number;
  readonly device: number;
}

/** Through node's fstat: libc exports none before glibc 2.33. */
export function namespaceIdentity(fd: number): NamespaceIdentity {
  const { ino, dev } = fstatSync(fd);
  return { inode: ino, device: dev };
}

/** False for a descriptor of anything else, which a peer may have sent in its place. */
export function isNetworkNamespace(fd: number): boolean {
  return libc.ioctl(fd, NS_GET_NSTYPE, 0) === CLONE_NEWNET;
}

function abortStranded(errno: number): never {
  writeSync(2, `ambit: stopping, because the way back to its own network namespace failed (${errnoName(errno)}).\n`);
  process.abort();
}
