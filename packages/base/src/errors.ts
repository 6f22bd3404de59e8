/**
 * Errors as data: a code that logs, metrics and pages switch on, the side that caused it, whether trying again can
 * help, and what the reader can do. Programming mistakes are not these: they go through `assert` (assert.ts).
 */
export type ErrorSide = 'downstream' | 'upstream' | 'internal';

/**
 * `never`: the same call fails again. `safe`: nothing reached the other side, so another attempt cannot do harm.
 * `unknown`: bytes may have been acted on; only the caller can tell whether repeating is safe.
 */
export type RetryVerdict = 'never' | 'safe' | 'unknown';

export interface AmbitErrorOptions {
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  /** One sentence on what to do next, for a person. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class AmbitError extends Error {
  readonly code: string;
  readonly side: ErrorSide;
  readonly retry: RetryVerdict;
  readonly hint: string | undefined;

  /** `code` is UPPER_SNAKE and stable: users search for it. `message` is one sentence without a full stop. */
  constructor(code: string, message: string, options: AmbitErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AmbitError';
    this.code = code;
    this.side = options.side;
    this.retry = options.retry;
    this.hint = options.hint;
  }
}

/** Wraps anything thrown so that a handler always has an `AmbitError` to count and log. */
export function asAmbitError(thrown: unknown): AmbitError {
  if (thrown instanceof AmbitError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AmbitError('INTERNAL', message, { side: 'internal', retry: 'unknown', cause: thrown });
}
