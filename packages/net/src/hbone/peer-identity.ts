/**
 * Who is at the other end, read from the DER of the leaf that the handshake proved, never from a printed string
 * (design, FFI rule 13). Rules as Istio's ztunnel, reference 5.3: a client wants one of the identities it was told,
 * exactly; a server wants its own trust domain and leaves the rest to authorization. Unlike it, a certificate with more
 * than one URI is refused, as the X.509-SVID specification (section 2) demands: which of them is meant is a guess.
 */
import type { AmbitError } from '@ambit/base/errors';
import { type Identity, parseIdentity } from '@ambit/model/identity';
import { spiffeIdsOf, subjectAltUris } from '@ambit/wire/x509-san';
import type { Connection, Receiver } from '../engine.ts';
import { addressText } from '../errors.ts';
import { hboneError } from './errors.ts';

/** The identity of the list that the server showed, or why it is refused. An empty list accepts nobody. */
export function serverIdentity(connection: Connection, accepted: readonly string[]): Identity | AmbitError {
  const { uris, identity } = presentedBy(connection);
  if (identity !== null && accepted.includes(uris[0] ?? '')) return identity;
  const message = `${peerText(connection)} showed ${listText(uris)}, expected ${listText(accepted)}`;
  return hboneError('HBONE_SERVER_IDENTITY', message);
}

/** The identity that the client showed, if it is of this trust domain. */
export function clientIdentity(connection: Connection, trustDomain: string): Identity | AmbitError {
  const { uris, identity } = presentedBy(connection);
  if (identity !== null && identity.trustDomain === trustDomain) return identity;
  const message = `${peerText(connection)} showed ${listText(uris)}, expected trust domain ${trustDomain}`;
  return hboneError('HBONE_CLIENT_IDENTITY', message);
}

interface Presented {
  readonly uris: readonly string[];
  /** Of the only URI; null where it is none, or not the only one. */
  readonly identity: Identity | null;
}

const NOTHING: Presented = { uris: [], identity: null };
/** Each certificate is read once, and all connections of a peer name it by the same object. */
const presentedByLeaf = new WeakMap<Uint8Array, Presented>();

function presentedBy(connection: Connection): Presented {
  const leafDer = connection.tls?.leafDer ?? null;
  if (leafDer === null) return NOTHING;
  let presented = presentedByLeaf.get(leafDer);
  if (presented === undefined) {
    const uris = subjectAltUris(leafDer) ?? [];
    const [id] = uris.length === 1 ? (spiffeIdsOf(leafDer) ?? []) : [];
    presented = { uris, identity: id === undefined ? null : parseIdentity(id) };
    presentedByLeaf.set(leafDer, presented);
  }
  return presented;
}

/** A certificate may hold more than a line of the log should. */
const LISTED_URIS_MAX = 3;

function listText(uris: readonly string[]): string {
  if (uris.length === 0) return 'no identity';
  const named = uris.slice(0, LISTED_URIS_MAX).join(', ');
  return uris.length > LISTED_URIS_MAX ? `${named} and ${uris.length - LISTED_URIS_MAX} more` : named;
}

function peerText(connection: Connection): string {
  return addressText(connection.remote.ip, connection.remote.port);
}

/** For a connection that is refused: nothing of it is read. */
export const DEAF: Receiver = {
  creditBytes: () => 0,
  onData: () => {},
  onEnd: () => {},
  onWritable: () => {},
  onClose: () => {},
};
