/** Wall time and CPU of one measured window, on both sides. */
import { cpuSeconds } from '../process-usage.ts';
import type { LoadRequest } from './request.ts';

export interface Measured {
  readonly seconds: number;
  readonly subjectCpuSeconds: number;
  /** Cores that the measuring side kept busy: near 1, the generator is what limits. */
  readonly loadCores: number;
}

export class Meter {
  readonly #subject: readonly number[];
  readonly #load: readonly number[];
  #startedMs = 0;
  #subjectCpu = 0;
  #loadCpu = 0;

  constructor(request: LoadRequest) {
    this.#subject = request.subjectPids;
    this.#load = [process.pid, ...request.loadPids];
  }

  start(): void {
    this.#subjectCpu = cpuSeconds(this.#subject);
    this.#loadCpu = cpuSeconds(this.#load);
    this.#startedMs = performance.now();
  }

  stop(): Measured {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    return {
      seconds,
      subjectCpuSeconds: cpuSeconds(this.#subject) - this.#subjectCpu,
      loadCores: (cpuSeconds(this.#load) - this.#loadCpu) / seconds,
    };
  }
}
