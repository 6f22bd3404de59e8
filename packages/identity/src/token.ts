/** The bearer token by which a proxy shows a control plane who it is (ztunnel facts 1.5, 5.6). */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { identityError } from './errors.ts';
import { TOKEN_MAX_BYTES } from './limits.ts';

export type TokenSource =
  | { readonly is: 'file'; readonly path: string }
  | { readonly is: 'literal'; readonly token: string };

/** Kubernetes projects it there, relative to the process's directory. */
const DEFAULT_PATH = './var/run/secrets/tokens/istio-token';

/** `setting` (AUTH_TOKEN) is a path if it exists and else the token itself; without it the default file, or none. */
export function tokenSource(setting: string | undefined): TokenSource | null {
  if (setting !== undefined && setting !== '') {
    return existsSync(setting) ? { is: 'file', path: setting } : { is: 'literal', token: setting };
  }
  return existsSync(DEFAULT_PATH) ? { is: 'file', path: DEFAULT_PATH } : null;
}

/**
 * Read anew for each call, because Kubernetes replaces the file before the token expires. Not trimmed, as ztunnel: a
 * stray space or line end is an error here, where a server would drop the header in silence (RFC 9113 section 8.2.1).
 */
export async function readToken(source: TokenSource): Promise<string> {
  const token = source.is === 'literal' ? source.token : await readTokenFile(source.path);
  const where = source.is === 'literal' ? 'the given token' : `token file ${source.path}`;
  if (token === '') throw identityError('TOKEN_UNREADABLE', `${where} is empty`);
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw identityError('TOKEN_UNREADABLE', `${where} holds a space, a line end or another character of no token`);
  }
  return token;
}

async function readTokenFile(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw identityError('TOKEN_UNREADABLE', `token file ${path} cannot be read`, cause);
  }
  if (bytes.length > TOKEN_MAX_BYTES) throw identityError('TOKEN_UNREADABLE', `token file ${path} is too large`);
  return bytes.toString('latin1');
}
