/**
 * The errors of engines, by code: which side caused each, whether trying again can help, and what to look at. Engines
 * speak of the peer of a connection they accepted as `downstream`, of one they dialled as `upstream`.
 */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';

/** `direction`: the side follows from who dialled. */
interface ErrorKind {
  readonly side: ErrorSide | 'direction';
  readonly retry: RetryVerdict;
  readonly hint: string;
}

export const NET_ERRORS = {
  CONNECT_REFUSED: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check that the destination listens on this port and address.',
  },
  CONNECT_TIMEOUT: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check that the destination is up and that no firewall or NetworkPolicy drops packets to this port.',
  },
  CONNECT_FAILED: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check the route to the destination and the source address.',
  },
  CONNECTION_RESET: {
    side: 'direction',
    retry: 'unknown',
    hint: 'Look at the log of the other side: it closed the connection in the middle.',
  },
  TLS_HANDSHAKE_FAILED: {
    side: 'direction',
    retry: 'safe',
    hint: 'Compare both certificates: issuer, validity, extended key usage; and the ALPN each side asks for.',
  },
  TLS_HANDSHAKE_TIMEOUT: {
    side: 'direction',
    retry: 'safe',
    hint: 'The peer accepted TCP but did not finish TLS; check that it speaks TLS on this port.',
  },
  TLS_MATERIAL: {
    side: 'internal',
    retry: 'never',
    hint: 'Check that the certificate, its key and the roots are PEM and belong together.',
  },
  LISTEN_FAILED: {
    side: 'internal',
    retry: 'never',
    hint: 'Check that nothing else listens on this port and that the address belongs to this host.',
  },
  HANDLER_FAULT: {
    side: 'internal',
    retry: 'unknown',
    hint: 'This is a bug in the mesh; please report it with the cause.',
  },
  ENGINE_CLOSED: {
    side: 'internal',
    retry: 'unknown',
    hint: 'The proxy is shutting down; the next one takes new connections.',
  },
  ABORTED: {
    side: 'internal',
    retry: 'unknown',
    hint: 'The proxy gave this connection up; the log entry of the connection says why.',
  },
} as const satisfies Record<string, ErrorKind>;

export type NetErrorCode = keyof typeof NET_ERRORS;

/** `dialled`: this side made the connection. It decides whose fault a broken connection is. */
export function netError(code: NetErrorCode, message: string, dialled: boolean, cause?: unknown): AmbitError {
  const kind: ErrorKind = NET_ERRORS[code];
  const side = kind.side === 'direction' ? (dialled ? 'upstream' : 'downstream') : kind.side;
  return new AmbitError(code, message, { side, retry: kind.retry, hint: kind.hint, cause });
}

export function connectRefused(address: string): AmbitError {
  return netError('CONNECT_REFUSED', `connecting to ${address} was refused`, true);
}

export function connectTimeout(address: string, timeoutMs: number): AmbitError {
  return netError('CONNECT_TIMEOUT', `connecting to ${address} took more than ${timeoutMs} ms`, true);
}

/** `reason` is an errno name or the like. */
export function connectFailed(address: string, reason: string): AmbitError {
  return netError('CONNECT_FAILED', `connecting to ${address} failed: ${reason}`, true);
}

export function connectionReset(address: string, dialled: boolean): AmbitError {
  return netError('CONNECTION_RESET', `the connection with ${address} was reset`, dialled);
}

export function tlsHandshakeFailed(address: string, dialled: boolean, reason: string): AmbitError {
  return netError('TLS_HANDSHAKE_FAILED', `the TLS handshake with ${address} failed: ${reason}`, dialled);
}

export function tlsHandshakeTimeout(address: string, dialled: boolean, timeoutMs: number): AmbitError {
  return netError('TLS_HANDSHAKE_TIMEOUT', `the TLS handshake with ${address} took more than ${timeoutMs} ms`, dialled);
}

export function tlsMaterial(reason: string, cause?: unknown): AmbitError {
  return netError('TLS_MATERIAL', `the TLS material cannot be used: ${reason}`, false, cause);
}

export function listenFailed(address: string, reason: string): AmbitError {
  return netError('LISTEN_FAILED', `listening on ${address} failed: ${reason}`, false);
}

/** `handler` names what threw: `onData`, `onConnection`. */
export function handlerFault(handler: string, thrown: unknown): AmbitError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return netError('HANDLER_FAULT', `${handler} threw: ${reason}`, false, thrown);
}

export function engineClosed(): AmbitError {
  return netError('ENGINE_CLOSED', 'the engine was closed', false);
}

export function aborted(reason: string): AmbitError {
  return netError('ABORTED', reason, false);
}

/** `127.0.0.1:80`, `[::1]:80`. */
export function addressText(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
