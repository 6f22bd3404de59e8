/**
 * What is known of one identity's certificate, and how the outcome of a fetch changes it (ztunnel facts 5.5). Pure: the
 * manager does what is said here.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { Rng } from '@ambit/base/rng';
import type { WorkloadCertificate } from './certificate-source.ts';
import { identityError } from './errors.ts';
import { REFRESH_MIN_MS } from './limits.ts';
import { retryDelayMs } from './retry-delay.ts';

/** `unavailable`: the last fetch failed and no valid certificate is left; whoever asks gets the error at once. */
export type CertificateState =
  | { readonly is: 'initializing' }
  | { readonly is: 'available'; readonly certificate: WorkloadCertificate }
  | { readonly is: 'unavailable'; readonly error: AmbitError };

/** A connection waits (`realTime`), one will come soon (`warmUp`), or a certificate is to be renewed (`background`). */
export type Priority = 'realTime' | 'warmUp' | 'background';

export type FetchOutcome =
  | { readonly is: 'fetched'; readonly certificate: WorkloadCertificate }
  | { readonly is: 'failed'; readonly error: AmbitError };

export interface Standing {
  readonly state: CertificateState;
  /** Failed fetches in a row. */
  readonly failures: number;
}

export interface NextStanding extends Standing {
  /** When to fetch again, in the background. */
  readonly dueMs: number;
}

const RANKS: Readonly<Record<Priority, number>> = { realTime: 2, warmUp: 1, background: 0 };

/** Whether `a` goes before `b`: the more urgent, and of equals the one due earlier. */
export function goesBefore(a: Planned, b: Planned): boolean {
  const byRank = RANKS[a.priority] - RANKS[b.priority];
  return byRank === 0 ? a.dueMs < b.dueMs : byRank > 0;
}

export interface Planned {
  readonly priority: Priority;
  readonly dueMs: number;
}

export function isValid(state: CertificateState, nowMs: number): boolean {
  return state.is === 'available' && nowMs < state.certificate.notAfterMs;
}

export function afterFetch(before: Standing, outcome: FetchOutcome, nowMs: number, rng: Rng): NextStanding {
  switch (outcome.is) {
    case 'fetched':
      if (nowMs < outcome.certificate.notAfterMs) return renewed(outcome.certificate, nowMs);
      return failed(before, expiredOnArrival(outcome.certificate), nowMs, rng);
    case 'failed':
      return failed(before, outcome.error, nowMs, rng);
  }
}

function renewed(certificate: WorkloadCertificate, nowMs: number): NextStanding {
  const halfLifeMs = certificate.notBeforeMs + (certificate.notAfterMs - certificate.notBeforeMs) / 2;
  const dueMs = Math.max(halfLifeMs, nowMs + REFRESH_MIN_MS);
  return { state: { is: 'available', certificate }, failures: 0, dueMs };
}

/** A certificate that is still valid stays in use, and is tried again no later than when it expires. */
function failed(before: Standing, error: AmbitError, nowMs: number, rng: Rng): NextStanding {
  const failures = before.failures + 1;
  const retryMs = nowMs + retryDelayMs(failures, rng);
  if (before.state.is === 'available' && isValid(before.state, nowMs)) {
    return { state: before.state, failures, dueMs: Math.min(retryMs, before.state.certificate.notAfterMs) };
  }
  return { state: { is: 'unavailable', error }, failures, dueMs: retryMs };
}

function expiredOnArrival({ identity, notAfterMs }: WorkloadCertificate): AmbitError {
  const expiry = new Date(notAfterMs).toISOString();
  return identityError('CERTIFICATE_EXPIRED', `the certificate for ${identity} had expired at ${expiry}`);
}
