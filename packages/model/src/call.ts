/** What a policy may look at: who calls whom, as the proxy that answers knows it. Made once for each connection. */
import { formatIdentity, type Identity } from './identity.ts';
import type { IpAddress } from './ip-address.ts';

/** What authorization asks of the destination; a Workload is one. */
export interface CallDestination {
  readonly namespace: string;
  /** Keys of policies (`namespace/name`) attached to this workload. */
  readonly authorizationPolicies: readonly string[];
}

export interface CallFacts {
  /** From the peer's certificate; null when the call came in plaintext. */
  readonly source: Identity | null;
  readonly sourceIp: IpAddress;
  readonly destinationIp: IpAddress;
  /** Where the application will be dialled, behind every mapping of ports. */
  readonly destinationPort: number;
  readonly destination: CallDestination;
}

export interface Call extends CallFacts {
  /** The SPIFFE id without `spiffe://`, in which form policies name it; null in plaintext. */
  readonly principal: string | null;
}

export function makeCall({ source, sourceIp, destinationIp, destinationPort, destination }: CallFacts): Call {
  const principal = source === null ? null : formatIdentity(source).slice('spiffe://'.length);
  return { source, sourceIp, destinationIp, destinationPort, destination, principal };
}
