/** A workload's identity, as Istio writes it: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const SCHEME = 'spiffe://';

/** Exactly five parts with the literals `ns` and `sa` (as Istio's ztunnel); anything else is null, never half read. */
export function parseIdentity(uri: string): Identity | null {
  if (!uri.startsWith(SCHEME)) return null;
  const parts = uri.slice(SCHEME.length).split('/');
  if (parts.length !== 5 || parts[1] !== 'ns' || parts[3] !== 'sa') return null;
  const [trustDomain, , namespace, , serviceAccount] = parts as [string, string, string, string, string];
  if (trustDomain === '' || namespace === '' || serviceAccount === '') return null;
  return { trustDomain, namespace, serviceAccount };
}

export function formatIdentity(identity: Identity): string {
  return `${SCHEME}${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.trustDomain === b.trustDomain && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}
