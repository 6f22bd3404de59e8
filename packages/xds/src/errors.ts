/** The errors of xDS, by code: side, whether trying again can help, and what to look at. */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';

interface ErrorKind {
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  readonly hint: string;
}

export const XDS_ERRORS = {
  XDS_STREAM_FAILED: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check the address of the control plane, its certificate and its log: it names the token or node it refused.',
  },
  XDS_DEMAND_TIMEOUT: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check that the control plane is reachable from this node; its answer did not come in time.',
  },
  XDS_DEMANDS_TOO_MANY: {
    side: 'downstream',
    retry: 'safe',
    hint: 'Something asks for very many unknown addresses: look for a scan, or for a control plane that does not answer.',
  },
  XDS_CLOSED: { side: 'internal', retry: 'never', hint: 'The proxy is going down.' },
} as const satisfies Record<string, ErrorKind>;

export function xdsError(code: keyof typeof XDS_ERRORS, message: string, cause?: unknown): AmbitError {
  return new AmbitError(code, message, { ...XDS_ERRORS[code], cause });
}
