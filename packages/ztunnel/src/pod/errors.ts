/** Why the proxy of a pod turns a connection away or cuts it, by code. Messages are in the words of Istio's ztunnel (Appendix C). */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';

interface ErrorKind {
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  readonly hint: string;
  /** What a CONNECT is answered with. */
  readonly status: number;
}

export const POD_ERRORS = {
  POD_SELF_CALL: {
    side: 'downstream',
    retry: 'never',
    status: 503,
    hint: 'The call is for a port of the proxy itself; call the application.',
  },
  POD_NOT_READY: {
    side: 'internal',
    retry: 'safe',
    status: 503,
    hint: 'The proxy has not received workloads and policies yet; check its connection to the control plane.',
  },
  POD_WORKLOAD_UNKNOWN: {
    side: 'internal',
    retry: 'safe',
    status: 503,
    hint: 'The control plane did not send the workload of this pod; check that the pod is in its view of the mesh.',
  },
  POD_FULL: {
    side: 'internal',
    retry: 'safe',
    status: 503,
    hint: 'Too many connections of this pod are open or waiting; see the limits of the proxy.',
  },
  POD_NO_ROUTE: {
    side: 'upstream',
    retry: 'safe',
    status: 503,
    hint: 'The mesh knows the destination and cannot reach it; check its endpoints, waypoint and ports.',
  },
  POD_NOT_SUPPORTED: {
    side: 'internal',
    retry: 'never',
    status: 503,
    hint: 'This way to the destination is not built yet; the call is refused because nothing may go around it.',
  },
  POD_BAD_AUTHORITY: {
    side: 'downstream',
    retry: 'never',
    status: 400,
    hint: 'The caller asked this pod for an address that is not its own; its view of the mesh may be old.',
  },
  POD_POLICY_DENIED: {
    side: 'downstream',
    retry: 'never',
    status: 401,
    hint: 'An authorization policy denies the call; explain it by the id of the denial.',
  },
  POD_POLICY_CHANGED: {
    side: 'downstream',
    retry: 'never',
    status: 401,
    hint: 'A policy that changed denies what it had allowed; explain it by the id of the denial.',
  },
  POD_UPSTREAM_FAILED: {
    side: 'upstream',
    retry: 'safe',
    status: 503,
    hint: 'Check that the application listens on this port and address.',
  },
  POD_IDENTITY_UNAVAILABLE: {
    side: 'internal',
    retry: 'safe',
    status: 503,
    hint: 'There is no certificate for this workload; check the certificate authority and its log.',
  },
  POD_DRAINED: {
    side: 'internal',
    retry: 'unknown',
    status: 503,
    hint: 'The proxy stopped before this connection had ended; raise its drain deadline.',
  },
  POD_CLIENT_LEFT: {
    side: 'downstream',
    retry: 'unknown',
    status: 503,
    hint: 'The client closed its connection before there was one to the destination.',
  },
} as const satisfies Record<string, ErrorKind>;

export type PodErrorCode = keyof typeof POD_ERRORS;

export function podError(code: PodErrorCode, message: string, cause?: unknown): AmbitError {
  const { side, retry, hint }: ErrorKind = POD_ERRORS[code];
  return new AmbitError(code, message, { side, retry, hint, cause });
}

/** Of the answer to a CONNECT that ends with this error. */
export function statusOf({ code }: AmbitError): number {
  return isPodError(code) ? POD_ERRORS[code].status : 503;
}

function isPodError(code: string): code is PodErrorCode {
  return Object.hasOwn(POD_ERRORS, code);
}
