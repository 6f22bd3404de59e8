/**
 * The certificates of a node's identities: fetched when first needed or announced, renewed at half their life, kept
 * while they are valid, by a bounded number of calls of which the most urgent goes first (ztunnel facts 5.5).
 */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import type { Rng } from '@ambit/base/rng';
import type { CertificateSource, WorkloadCertificate } from './certificate-source.ts';
import {
  afterFetch,
  type CertificateState,
  type FetchOutcome,
  goesBefore,
  isValid,
  type Planned,
  type Priority,
} from './certificate-state.ts';
import { identityError } from './errors.ts';
import { CLOCK_BACK_MAX_MS, FETCH_TIMEOUT_MS, FETCHES_PARALLEL_MAX, IDENTITIES_MAX, SLEEP_MAX_MS } from './limits.ts';
import type { After, Cancellable } from './timers.ts';
import { WarmUps } from './warm-ups.ts';

export interface CertificateManagerOptions {
  readonly fetchesParallelMax?: number;
  readonly fetchTimeoutMs?: number;
  readonly identitiesMax?: number;
}

export interface CertificateManagerDeps {
  readonly source: CertificateSource;
  /** Wall clock: certificates have dates. */
  readonly clock: { nowMs(): number };
  readonly after: After;
  readonly rng: Rng;
  readonly log: Log;
  /** Each certificate when it comes into use, the first and every renewed one. */
  readonly onCertificate?: (certificate: WorkloadCertificate) => void;
}

export interface CertificateCounters {
  fetchesStarted: number;
  fetchesFailed: number;
  /** The queue was full; these are fetched when a connection needs them. */
  warmUpsDropped: number;
}

export interface CertificateStatus {
  readonly identity: string;
  readonly state: CertificateState;
}

/** Waiting for its turn and time, or on its way: every identity is always one or the other. */
type Work =
  | ({ readonly is: 'queued'; readonly sinceMs: number } & Planned)
  | { readonly is: 'fetching'; readonly abort: AbortController };

interface Entry {
  readonly identity: string;
  state: CertificateState;
  failures: number;
  work: Work;
  /** One promise for all who wait. */
  waiting: PromiseWithResolvers<WorkloadCertificate> | null;
}

export class CertificateManager {
  readonly counters: CertificateCounters = { fetchesStarted: 0, fetchesFailed: 0, warmUpsDropped: 0 };
  readonly #deps: CertificateManagerDeps;
  readonly #fetchesParallelMax: number;
  readonly #fetchTimeoutMs: number;
  readonly #identitiesMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #warmUps = new WarmUps();
  #warming: Entry | null = null;
  #fetching = 0;
  #timer: Cancellable | null = null;
  #closed = false;

  constructor(options: CertificateManagerOptions, deps: CertificateManagerDeps) {
    this.#deps = deps;
    this.#fetchesParallelMax = options.fetchesParallelMax ?? FETCHES_PARALLEL_MAX;
    this.#fetchTimeoutMs = options.fetchTimeoutMs ?? FETCH_TIMEOUT_MS;
    this.#identitiesMax = options.identitiesMax ?? IDENTITIES_MAX;
  }

  /** Identities managed. */
  get size(): number {
    return this.#entries.size;
  }

  /** The valid certificate that is there, without asking for one. */
  current(identity: string): WorkloadCertificate | null {
    const state = this.#entries.get(identity)?.state;
    return state?.is === 'available' && this.#isValid(state) ? state.certificate : null;
  }

  /** For a connection that waits. Rejects at once with the last error while no valid certificate can be had. */
  async certificate(identity: string): Promise<WorkloadCertificate> {
    if (this.#closed) throw closedError();
    const entry = this.#entries.get(identity) ?? this.#add(identity, 'realTime');
    const { state } = entry;
    if (state.is === 'unavailable') throw state.error;
    if (state.is === 'available' && this.#isValid(state)) return state.certificate;
    // Expired before it was renewed: the machine slept, or its clock was set.
    entry.state = { is: 'initializing' };
    this.#expedite(entry);
    entry.waiting ??= shared();
    this.#pump();
    return entry.waiting.promise;
  }

  /** For a pod that has arrived: fetched one after the other, after whatever a connection waits for. */
  warmUp(identity: string): void {
    if (this.#closed || this.#entries.has(identity)) return;
    if (this.#warmUps.push(identity)) this.#warmNext();
    else this.counters.warmUpsDropped += 1;
  }

  /** The last local workload of this identity has gone: nothing of it is kept, and who still waits gets an error. */
  forget(identity: string): void {
    this.#warmUps.delete(identity);
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    this.#drop(entry, identityError('CERTIFICATE_FORGOTTEN', `${identity} is no longer on this node`));
    this.#warmedUp(entry);
  }

  list(): CertificateStatus[] {
    return [...this.#entries.values()].map(({ identity, state }) => ({ identity, state }));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#warmUps.clear();
    for (const entry of this.#entries.values()) this.#drop(entry, closedError());
  }

  #isValid(state: CertificateState): boolean {
    return isValid(state, this.#deps.clock.nowMs());
  }

  #add(identity: string, priority: Priority): Entry {
    if (this.#entries.size >= this.#identitiesMax) {
      throw identityError('CERTIFICATES_TOO_MANY', `${this.#identitiesMax} identities are managed already`);
    }
    const state: CertificateState = { is: 'initializing' };
    const entry: Entry = { identity, state, failures: 0, work: this.#queued(priority, 0), waiting: null };
    this.#entries.set(identity, entry);
    return entry;
  }

  #drop(entry: Entry, error: AmbitError): void {
    this.#entries.delete(entry.identity);
    if (entry.work.is === 'fetching') entry.work.abort.abort();
    entry.waiting?.reject(error);
    entry.waiting = null;
  }

  #queued(priority: Priority, delayMs: number): Work {
    const sinceMs = this.#deps.clock.nowMs();
    return { is: 'queued', priority, sinceMs, dueMs: sinceMs + delayMs };
  }

  #expedite(entry: Entry): void {
    if (entry.work.is === 'fetching' || entry.work.priority === 'realTime') return;
    entry.work = this.#queued('realTime', 0);
  }

  #warmNext(): void {
    while (this.#warming === null && !this.#closed) {
      const identity = this.#warmUps.shift();
      if (identity === undefined) return;
      if (this.#entries.has(identity)) continue;
      if (this.#entries.size >= this.#identitiesMax) {
        this.counters.warmUpsDropped += 1;
        continue;
      }
      this.#warming = this.#add(identity, 'warmUp');
      this.#pump();
    }
  }

  #warmedUp(entry: Entry): void {
    if (this.#warming !== entry) return;
    this.#warming = null;
    this.#warmNext();
  }

  /** Starts what is due, most urgent first, as far as there is room, and sleeps until the next. */
  #pump(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#closed) return;
    const nowMs = this.#deps.clock.nowMs();
    while (this.#fetching < this.#fetchesParallelMax) {
      const { best, earliestMs } = this.#plan(nowMs);
      if (best === null) {
        if (earliestMs < Number.POSITIVE_INFINITY) this.#sleep(earliestMs - nowMs);
        return;
      }
      void this.#fetch(best);
    }
  }

  /** A look at every identity: a node has some hundred, and a fetch costs a thousand times more. */
  #plan(nowMs: number): { best: Entry | null; earliestMs: number } {
    let best: Entry | null = null;
    let bestWork: Planned | null = null;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      const { work } = entry;
      if (work.is !== 'queued') continue;
      earliestMs = Math.min(earliestMs, work.dueMs);
      if (work.dueMs > nowMs && work.sinceMs <= nowMs + CLOCK_BACK_MAX_MS) continue;
      if (bestWork !== null && !goesBefore(work, bestWork)) continue;
      best = entry;
      bestWork = work;
    }
    return { best, earliestMs };
  }

  #sleep(delayMs: number): void {
    this.#timer = this.#deps.after(Math.min(delayMs, SLEEP_MAX_MS), () => this.#pump());
  }

  async #fetch(entry: Entry): Promise<void> {
    const abort = new AbortController();
    entry.work = { is: 'fetching', abort };
    this.#fetching += 1;
    this.counters.fetchesStarted += 1;
    const outcome = await this.#outcome(entry.identity, abort);
    this.#fetching -= 1;
    // Forgotten meanwhile, perhaps asked for again: then that is another entry with a fetch of its own.
    if (this.#entries.get(entry.identity) === entry) this.#settle(entry, outcome);
    this.#pump();
  }

  /** Never rejects, and is there in time whatever the source does. */
  #outcome(identity: string, abort: AbortController): Promise<FetchOutcome> {
    return new Promise((resolve) => {
      const timer = this.#deps.after(this.#fetchTimeoutMs, () => {
        const message = `no certificate for ${identity} after ${this.#fetchTimeoutMs} ms`;
        resolve({ is: 'failed', error: identityError('CERTIFICATE_TIMEOUT', message) });
        abort.abort();
      });
      const finish = (outcome: FetchOutcome): void => {
        timer.cancel();
        resolve(outcome);
      };
      // In a promise's chain also what a source throws at once is a failure and not a fault.
      Promise.resolve()
        .then(() => this.#deps.source.fetch(identity, abort.signal))
        .then(
          (certificate) => finish({ is: 'fetched', certificate }),
          (thrown) => finish({ is: 'failed', error: asAmbitError(thrown) }),
        );
    });
  }

  #settle(entry: Entry, outcome: FetchOutcome): void {
    const { clock, rng } = this.#deps;
    const before = entry.state;
    const nowMs = clock.nowMs();
    const { state, failures, dueMs } = afterFetch(entry, outcome, nowMs, rng);
    entry.state = state;
    entry.failures = failures;
    entry.work = this.#queued('background', dueMs - nowMs);
    if (failures > 0) this.#logFailure(entry, outcome, dueMs);
    if (state.is === 'available') {
      entry.waiting?.resolve(state.certificate);
      if (state !== before) this.#announce(state.certificate);
    }
    if (state.is === 'unavailable') entry.waiting?.reject(state.error);
    entry.waiting = null;
    this.#warmedUp(entry);
  }

  #logFailure({ identity, state, failures }: Entry, outcome: FetchOutcome, dueMs: number): void {
    this.counters.fetchesFailed += 1;
    const error = outcome.is === 'failed' ? outcome.error : state.is === 'unavailable' ? state.error : undefined;
    const retryAt = new Date(dueMs).toISOString();
    this.#deps.log.warn('no new certificate', { identity, state: state.is, failures, retry_at: retryAt, error });
  }

  #announce(certificate: WorkloadCertificate): void {
    try {
      this.#deps.onCertificate?.(certificate);
    } catch (thrown) {
      this.#deps.log.error('a certificate was not taken', {
        identity: certificate.identity,
        error: asAmbitError(thrown),
      });
    }
  }
}

function shared(): PromiseWithResolvers<WorkloadCertificate> {
  const waiting = Promise.withResolvers<WorkloadCertificate>();
  // Everybody who waits has a promise of their own that follows this one, or gave up.
  waiting.promise.catch(() => {});
  return waiting;
}

function closedError(): AmbitError {
  return identityError('CERTIFICATES_CLOSED', 'certificates are no longer handed out');
}
