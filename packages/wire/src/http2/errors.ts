/** HTTP/2 error codes as `AmbitError`: `HTTP2_<name>`, so that logs and metrics speak the RFC's names (section 7). */
import { AmbitError, type ErrorSide, type RetryVerdict } from '@ambit/base/errors';
import { Http2ErrorCode } from './types.ts';

const NAMES: readonly string[] = Object.entries(Http2ErrorCode)
  .sort((one, other) => one[1] - other[1])
  .map(([name]) => name);

export function http2Error(code: number, message: string, side: ErrorSide, retry: RetryVerdict): AmbitError {
  return new AmbitError(`HTTP2_${http2ErrorName(code)}`, message, { side, retry });
}

/** Unknown codes mean nothing special and are treated as INTERNAL_ERROR (section 7). */
export function http2ErrorName(code: number): string {
  return NAMES[code] ?? 'INTERNAL_ERROR';
}
