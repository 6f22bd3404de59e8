/**
 * What the parent tells the data child, and what the child reports. A child sees its parent's messages as JSON of a known
 * program of the same version, so the shape is stated and not checked again.
 */
import type { Json } from '@ambit/net/workers';

/** A meshed pod, and the identity under which its proxy speaks. */
export type PodState = {
  readonly kind: 'pod';
  readonly name: string;
  readonly ip: string;
  readonly namespacePath: string;
  readonly identity: string;
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly rootsPem: string;
  /** Who may reach it, and where. Everybody else may not. */
  readonly allow: readonly AllowRule[];
};

export type AllowRule = { readonly identity: string; readonly port: number };

export type PurposeOf = 'outbound' | 'plaintext' | 'hbone';
/** What a listener is for. */
export type Purpose = { readonly pod: string; readonly port: PurposeOf };

/** A call, as one of the two proxies saw it. */
export type CallReport = {
  readonly kind: 'call';
  readonly side: 'outbound' | 'inbound' | 'plaintext';
  readonly source: string;
  /** Where the application meant to go. */
  readonly destination: string;
  /** Whom the handshake proved the other end to be; empty for none. */
  readonly peerIdentity: string;
  readonly outcome: 'open' | 'passed through' | 'refused' | 'failed';
  readonly reason: string;
};

export function asJson(message: PodState | Purpose | CallReport): Json {
  return message;
}

export function asPodState(body: Json): PodState {
  return body as PodState;
}

export function asPurpose(purpose: Json): Purpose {
  return purpose as Purpose;
}

export function asCallReport(body: Json): CallReport {
  return body as CallReport;
}
