/** The roots by which a control plane is verified (ztunnel facts 5.1, 5.6): a file, the system's store, or PEM itself. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { identityError } from './errors.ts';
import { ROOTS_FILE_MAX_BYTES } from './limits.ts';
import { certificatesIn } from './pem.ts';

export type RootSource =
  | { readonly is: 'file'; readonly path: string }
  | { readonly is: 'system' }
  | { readonly is: 'inline'; readonly pem: string };

const DEFAULT_PATH = './var/run/secrets/istio/root-cert.pem';

/** `setting` (CA_ROOT_CA, XDS_ROOT_CA) is a path if it exists, the word SYSTEM, or else PEM. */
export function rootSource(setting: string = DEFAULT_PATH): RootSource {
  if (existsSync(setting)) return { is: 'file', path: setting };
  if (setting === 'SYSTEM') return { is: 'system' };
  // A path that does not exist yet: that PEM has a dash in front and no path of ours does.
  return setting.includes('-----BEGIN') ? { is: 'inline', pem: setting } : { is: 'file', path: setting };
}

/** Certificates in PEM, at least one. Read anew at each call; rejects with `ROOTS_UNREADABLE`. */
export async function readRoots(source: RootSource): Promise<string[]> {
  switch (source.is) {
    case 'file':
      return parseRoots(await readRootsFile(source.path), `root file ${source.path}`);
    case 'system':
      return getCACertificates('system');
    case 'inline':
      return parseRoots(source.pem, 'the given root');
  }
}

function parseRoots(pem: string, where: string): string[] {
  try {
    return certificatesIn(pem).map((certificate) => certificate.toString());
  } catch (cause) {
    throw identityError('ROOTS_UNREADABLE', `${where} holds no readable certificates`, cause);
  }
}

async function readRootsFile(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw identityError('ROOTS_UNREADABLE', `root file ${path} cannot be read`, cause);
  }
  if (bytes.length > ROOTS_FILE_MAX_BYTES) throw identityError('ROOTS_UNREADABLE', `root file ${path} is too large`);
  return bytes.toString('latin1');
}
