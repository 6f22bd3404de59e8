/**
 * Who is at the other end, read from the DER of the leaf that the handshake proved, never from a printed string
 * (design, FFI rule 13). Rules as Istio's ztunnel, reference 5.3: a client wants one of the identities it was told,
 * exactly; a server wants its own trust domain and leaves the rest to authorization.
 */
import type { AmbitError } from '@ambit/base/errors';
import { type Identity, parseIdentity } from '@ambit/model/identity';
import { subjectAltUris } from '@ambit/wire/x509-san';
import type { Connection, Receiver } from '../engine.ts';
import { addressText } from '../errors.ts';
import { hboneError } from './errors.ts';

/** The identity of the list that the server showed, or why it is refused. An empty list accepts nobody. */
export function serverIdentity(connection: Connection, accepted: readonly string[]): Identity | AmbitError {
  const presented = presentedUris(connection);
  for (const uri of presented) {
    const identity = accepted.includes(uri) ? parseIdentity(uri) : null;
    if (identity !== null) return identity;
  }
  const message = `${peerText(connection)} showed ${listText(presented)}, expected ${listText(accepted)}`;
  return hboneError('HBONE_SERVER_IDENTITY', message);
}

/** The first identity that the client showed, if one of all is of this trust domain. */
export function clientIdentity(connection: Connection, trustDomain: string): Identity | AmbitError {
  const presented = presentedUris(connection);
  const identities = presented.map(parseIdentity).filter((identity) => identity !== null);
  const [first] = identities;
  if (first !== undefined && identities.some((identity) => identity.trustDomain === trustDomain)) return first;
  const message = `${peerText(connection)} showed ${listText(presented)}, expected trust domain ${trustDomain}`;
  return hboneError('HBONE_CLIENT_IDENTITY', message);
}

function presentedUris(connection: Connection): readonly string[] {
  const leafDer = connection.tls?.leafDer;
  return leafDer === undefined || leafDer === null ? [] : (subjectAltUris(leafDer) ?? []);
}

function listText(uris: readonly string[]): string {
  return uris.length === 0 ? 'no identity' : uris.join(', ');
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
