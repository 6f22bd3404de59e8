/** The errors of identities and certificates, by code: side, whether trying again can help, and what to look at. */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';

interface ErrorKind {
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  readonly hint: string;
}

export const IDENTITY_ERRORS = {
  CONTROL_PLANE_ADDRESS: {
    side: 'internal',
    retry: 'never',
    hint: 'Write the address as https://host:port; plain HTTP is not spoken to a control plane.',
  },
  ROOTS_UNREADABLE: {
    side: 'internal',
    retry: 'safe',
    hint: 'Give the root certificates as a file, as SYSTEM, or as PEM.',
  },
  TOKEN_UNREADABLE: {
    side: 'internal',
    retry: 'safe',
    hint: 'Check that the token file exists and holds the token alone: no line end, no other characters.',
  },
  CA_CALL_FAILED: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check the address of the CA and its log: it names the token or the identity that it refused.',
  },
  CA_RESPONSE_INVALID: {
    side: 'upstream',
    retry: 'safe',
    hint: 'The CA must answer with the leaf first and the bundle of roots last.',
  },
  CA_IDENTITY_MISMATCH: {
    side: 'upstream',
    retry: 'safe',
    hint: 'The CA signed for another identity than asked; check that it lets this node speak for its pods.',
  },
  CERTIFICATE_EXPIRED: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Compare the clocks of this machine and of the CA.',
  },
  CERTIFICATE_TIMEOUT: {
    side: 'upstream',
    retry: 'safe',
    hint: 'Check that the CA answers from this machine.',
  },
  CERTIFICATE_FORGOTTEN: {
    side: 'internal',
    retry: 'safe',
    hint: 'The last workload with this identity left this node meanwhile.',
  },
  CERTIFICATES_TOO_MANY: {
    side: 'internal',
    retry: 'safe',
    hint: 'This node has more identities than one proxy keeps; see the limits.',
  },
  CERTIFICATES_CLOSED: {
    side: 'internal',
    retry: 'never',
    hint: 'The proxy is going down.',
  },
} as const satisfies Record<string, ErrorKind>;

export type IdentityErrorCode = keyof typeof IDENTITY_ERRORS;

export function identityError(code: IdentityErrorCode, message: string, cause?: unknown): AmbitError {
  return new AmbitError(code, message, { ...IDENTITY_ERRORS[code], cause });
}
