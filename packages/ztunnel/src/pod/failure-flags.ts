/**
 * Which of Istio's response flags an error is told as, and whether it counts as a failure at all (reference 8.1). A flag
 * is a label of a metric: few, fixed, and the same whichever of our layers failed. `-` is no failure: only the log tells it.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { NetErrorCode } from '@ambit/net/errors';
import type { HboneErrorCode } from '@ambit/net/hbone';
import type { ResponseFlag } from '@ambit/telemetry/traffic-labels';
import type { PodErrorCode } from './errors.ts';

/** What is not listed is CONNECT, as there. */
const FLAGS: Readonly<Partial<Record<NetErrorCode | HboneErrorCode | PodErrorCode, ResponseFlag>>> = {
  TLS_HANDSHAKE_FAILED: 'TLS_FAILURE',
  TLS_HANDSHAKE_TIMEOUT: 'TLS_FAILURE',
  TLS_MATERIAL: 'TLS_FAILURE',
  HBONE_DIAL_TIMEOUT: 'NETWORK_POLICY',
  // Istio's ztunnel finds a wrong server during the handshake and says CONNECT, which hides what is wrong.
  HBONE_SERVER_IDENTITY: 'IDENTITY_ERROR',
  POD_IDENTITY_UNAVAILABLE: 'IDENTITY_ERROR',
  POD_POLICY_DENIED: 'DENY',
  POD_POLICY_CHANGED: 'DENY',
  HBONE_POOL_CLOSED: '-',
  HBONE_DRAINED: '-',
  POD_DRAINED: '-',
  POD_CLIENT_LEFT: '-',
  ENGINE_CLOSED: '-',
};

const FLAG_OF_CODE: ReadonlyMap<string, ResponseFlag> = new Map(Object.entries(FLAGS));

/** Of a connection that could not be made. */
export function connectFlag({ code }: AmbitError): ResponseFlag {
  if (code.startsWith('HTTP2_')) return 'H2_HANDSHAKE_FAILURE';
  return flagOf(code);
}

/** Of a connection that carried bytes; null: Istio's ztunnel counts it as a clean end (reference 3.8). */
export function carriedFlag({ code }: AmbitError): ResponseFlag | null {
  return code === 'CONNECTION_RESET' ? null : flagOf(code);
}

function flagOf(code: string): ResponseFlag {
  return FLAG_OF_CODE.get(code) ?? 'CONNECT';
}
