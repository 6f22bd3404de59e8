/** A clock with timers, and a source of certificates that a test holds in its hands: it answers, fails or stalls when told. */
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '@ambit/base/clock';
import { silentLog } from '@ambit/base/log';
import { seededRng } from '@ambit/base/rng';
import { TimerWheel } from '@ambit/base/timer-wheel';
import { CertificateManager, type CertificateManagerOptions } from './certificate-manager.ts';
import type { CertificateSource, WorkloadCertificate } from './certificate-source.ts';

export const START_MS = Date.UTC(2030, 0, 1);
export const LIFE_MS = 100_000;

/** Without any cryptography: managing needs dates only. */
export function madeUp(identity: string, notBeforeMs: number, lifeMs = LIFE_MS): WorkloadCertificate {
  const material = { certificateChainPem: '', privateKeyPem: '', rootsPem: '', alpn: 'h2' as const };
  const serialNumber = `${identity}@${notBeforeMs}`;
  return {
    identity,
    material,
    leafDer: new Uint8Array(),
    serialNumber,
    notBeforeMs,
    notAfterMs: notBeforeMs + lifeMs,
  };
}

export interface HeldFetch {
  readonly identity: string;
  readonly signal: AbortSignal;
  answer(certificate?: WorkloadCertificate): void;
  fail(error: Error): void;
}

export class HeldSource implements CertificateSource {
  /** Every fetch ever started, in order. */
  readonly started: string[] = [];
  readonly held: HeldFetch[] = [];
  parallelSeen = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  fetch(identity: string, signal: AbortSignal): Promise<WorkloadCertificate> {
    this.started.push(identity);
    return new Promise((resolve, reject) => {
      const release = (): void => {
        this.held.splice(this.held.indexOf(fetch), 1);
      };
      const fetch: HeldFetch = {
        identity,
        signal,
        answer: (certificate = madeUp(identity, this.#clock.nowMs())) => {
          release();
          resolve(certificate);
        },
        fail: (error) => {
          release();
          reject(error);
        },
      };
      this.held.push(fetch);
      this.parallelSeen = Math.max(this.parallelSeen, this.held.length);
    });
  }
}

export class ManualWorld {
  readonly clock = new ManualClock(START_MS);
  readonly wheel = new TimerWheel(this.clock);
  readonly source = new HeldSource(this.clock);
  readonly announced: WorkloadCertificate[] = [];
  readonly manager: CertificateManager;
  longestDelayMs = 0;

  constructor(options: CertificateManagerOptions = {}, source: CertificateSource = this.source) {
    this.manager = new CertificateManager(options, {
      source,
      clock: this.clock,
      after: (delayMs, callback) => {
        this.longestDelayMs = Math.max(this.longestDelayMs, delayMs);
        return this.wheel.schedule(delayMs, callback);
      },
      rng: seededRng(7),
      log: silentLog,
      onCertificate: (certificate) => this.announced.push(certificate),
    });
  }

  /** Second by second, so that what one timer starts can end before the next. */
  async advance(byMs: number, eachStep: () => void = () => {}): Promise<void> {
    for (let leftMs = byMs; leftMs > 0; leftMs -= 1000) {
      this.clock.advance(Math.min(leftMs, 1000));
      this.wheel.advance(this.clock.nowMs());
      await settled();
      eachStep();
      await settled();
    }
  }

  async answer(): Promise<void> {
    this.source.held[0]?.answer();
    await settled();
  }

  async fail(message = 'refused'): Promise<void> {
    this.source.held[0]?.fail(new Error(message));
    await settled();
  }
}

/** All promises that can go on have gone on. */
export async function settled(): Promise<void> {
  await setImmediate();
}
