/**
 * The errors of HBONE, by code. Messages carry the words that Istio's users search for (reference, Appendix C).
 * Until the answer to a CONNECT came, none of the application's bytes were sent: such failures are `safe` to retry
 * unless the same call must fail again.
 */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';

interface ErrorKind {
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  readonly hint: string;
}

export const HBONE_ERRORS = {
  HBONE_DIAL_TIMEOUT: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Allow TCP port 15008 to the destination pod in every NetworkPolicy that selects it.',
  },
  HBONE_WAIT_TIMEOUT: {
    side: 'upstream',
    retry: 'safe',
    hint: 'No connection to the destination could be made in time; the dials before this one say why.',
  },
  HBONE_RESPONSE_TIMEOUT: {
    side: 'upstream',
    retry: 'unknown',
    hint: 'The proxy at the destination accepted the connection but did not answer; look at its log.',
  },
  HBONE_STATUS: {
    side: 'upstream',
    retry: 'never',
    hint: '401: a policy at the destination denies the call. 400, 503: its log says which check or address failed.',
  },
  HBONE_SERVER_IDENTITY: {
    side: 'upstream',
    retry: 'never',
    hint: 'Another workload answers at this address, or its service account changed and the mesh does not know yet.',
  },
  HBONE_CLIENT_IDENTITY: {
    side: 'downstream',
    retry: 'never',
    hint: 'The client belongs to another trust domain, or its certificate carries no SPIFFE id.',
  },
  HBONE_POOL_FULL: {
    side: 'internal',
    retry: 'safe',
    hint: 'Too many connections or waiting calls; see the limits of the pool.',
  },
  HBONE_POOL_CLOSED: {
    side: 'internal',
    retry: 'safe',
    hint: 'The proxy is shutting down; the next one takes new connections.',
  },
  HBONE_SERVER_FULL: {
    side: 'internal',
    retry: 'safe',
    hint: 'Too many HBONE connections; see the limits of the server.',
  },
  HBONE_KEEPALIVE: {
    side: 'internal',
    retry: 'unknown',
    hint: 'The peer answered no PING: its host is gone, stalled, or the network between drops packets.',
  },
  HBONE_CONNECTION_LOST: {
    side: 'internal',
    retry: 'unknown',
    hint: 'The peer closed the connection that carried this tunnel; look at its log.',
  },
  HBONE_DRAINED: {
    side: 'internal',
    retry: 'unknown',
    hint: 'The proxy stopped before this connection had ended; raise its drain deadline.',
  },
  HBONE_UNSENT_FULL: {
    side: 'internal',
    retry: 'unknown',
    hint: 'This is a bug in the mesh: a writer ignored the room it was told. Please report it.',
  },
  HBONE_HANDLER_FAULT: {
    side: 'internal',
    retry: 'unknown',
    hint: 'This is a bug in the mesh; please report it with the cause.',
  },
} as const satisfies Record<string, ErrorKind>;

export type HboneErrorCode = keyof typeof HBONE_ERRORS;

export function hboneError(code: HboneErrorCode, message: string, cause?: unknown): AmbitError {
  const kind: ErrorKind = HBONE_ERRORS[code];
  return new AmbitError(code, message, { ...kind, cause });
}

/** The peer answered CONNECT with anything but 200. */
export class HboneStatusError extends AmbitError {
  readonly status: number;

  constructor(status: number) {
    // 503 is about the moment: its upstream was not reached. Other refusals stay what they are.
    const retry = status === 503 ? 'safe' : HBONE_ERRORS.HBONE_STATUS.retry;
    super('HBONE_STATUS', `http status: ${status}`, { ...HBONE_ERRORS.HBONE_STATUS, retry });
    this.status = status;
  }
}

/** A handler threw: it loses its own stream and nothing else (engine.ts). */
export function hboneHandlerFault(handler: string, thrown: unknown): AmbitError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return hboneError('HBONE_HANDLER_FAULT', `${handler} threw: ${reason}`, thrown);
}
