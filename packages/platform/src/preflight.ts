/**
 * Can this process do what it is about to promise? Each answer is one sentence with what to do. Asked before anything
 * else of this package is loaded, which maps memory and calls libc on import:
 *
 *   const problem = await checkPlatform({ openssl: true });
 *   if (problem !== null) print it and exit 1; else await import('./run.ts');
 */
import { readFileSync } from 'node:fs';
import { AmbitError } from '@ambit/base/errors';
import { nodeVersionProblem } from './node-version.mjs';

export interface PlatformNeeds {
  /** TLS in node's own OpenSSL. */
  readonly openssl?: boolean;
  /** Entering network namespaces and setting marks. */
  readonly namespaces?: boolean;
  /** Marks, transparent sockets, redirection rules. */
  readonly netAdmin?: boolean;
  /** Captures. */
  readonly rawSockets?: boolean;
}

/** Null when all is there, else the first thing that is not; `message` is the whole of what a person needs. */
export async function checkPlatform(needs: PlatformNeeds): Promise<AmbitError | null> {
  return checkNode() ?? checkSystem() ?? (await checkForeignFunctions(needs)) ?? checkPrivileges(needs);
}

const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;
type Capability = keyof typeof CAPABILITIES;

function checkNode(): AmbitError | null {
  const problem = nodeVersionProblem(process.versions.node);
  return problem === null ? null : preflightError('PREFLIGHT_NODE', problem);
}

/** The layouts of kernel structures are written for these two. */
function checkSystem(): AmbitError | null {
  if (process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64')) return null;
  const here = `${process.platform} on ${process.arch}`;
  return preflightError(
    'PREFLIGHT_SYSTEM',
    `Ambit carries traffic on Linux on x64 or arm64 and this is ${here}, so run it there or in a Linux container`,
  );
}

async function checkForeignFunctions(needs: PlatformNeeds): Promise<AmbitError | null> {
  const ffi = await import('./ffi.ts').catch((error: unknown) => error as Error);
  if (ffi instanceof Error) {
    const reason = ffi.message.split('\n')[0];
    return preflightError(
      'PREFLIGHT_FFI',
      `Foreign functions cannot be loaded (${reason}), so run "npm ci" again here`,
    );
  }
  const lacking = (table: object) => ffi.missingSymbols.filter((name) => name in table);
  const system = [...lacking(ffi.libc), ...lacking(ffi.libuv)];
  if (system.length > 0) {
    return preflightError(
      'PREFLIGHT_SYMBOLS',
      `This system lacks ${list(system)}, so use a Linux with glibc 2.28 or newer and the Node that nodejs.org publishes`,
    );
  }
  if (needs.openssl !== true) return null;
  const tls = lacking(ffi.openssl);
  const complaint = tls.length > 0 ? `does not export ${list(tls)}` : makesTlsContext(ffi.openssl);
  if (complaint === null) return null;
  return preflightError(
    'PREFLIGHT_SYMBOLS',
    `This Node ${complaint}, so use the Node that nodejs.org or npm publishes, which carries and exports OpenSSL 3`,
  );
}

function checkPrivileges(needs: PlatformNeeds): AmbitError | null {
  const wanted = new Set<Capability>();
  if (needs.namespaces === true) wanted.add('CAP_SYS_ADMIN').add('CAP_NET_ADMIN');
  if (needs.netAdmin === true) wanted.add('CAP_NET_ADMIN');
  if (needs.rawSockets === true) wanted.add('CAP_NET_RAW');
  if (wanted.size === 0) return null;
  const held = effectiveCapabilities();
  const absent = [...wanted].filter((name) => (held & (1n << BigInt(CAPABILITIES[name]))) === 0n);
  if (absent.length === 0) return null;
  return preflightError(
    'PREFLIGHT_PRIVILEGE',
    `This process lacks ${list(absent)}, so run it as root, give it these capabilities, or start it under "unshare --user --map-root-user --net"`,
  );
}

/** Within a user namespace these count for what that namespace owns, which is what the rootless mode needs. */
function effectiveCapabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return BigInt(`0x${line?.[1] ?? '0'}`);
}

/** The symbols may be there and still be of two libraries mixed: then no context can be made. */
function makesTlsContext(openssl: typeof import('./ffi.ts').openssl): string | null {
  const context = openssl.SSL_CTX_new(openssl.TLS_method());
  openssl.ERR_clear_error();
  if (context === 0) return 'has an OpenSSL that makes no TLS context';
  openssl.SSL_CTX_free(context);
  return null;
}

/** Three names tell enough. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

function preflightError(code: string, sentence: string): AmbitError {
  return new AmbitError(code, sentence, { side: 'internal', retry: 'never' });
}
