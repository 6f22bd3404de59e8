/** What a process still waits for before it is ready, and `GET /healthz/ready` for the kubelet (ztunnel section 8.4). */
import { type HttpHandler, textResponse } from './http-server.ts';

export class Readiness {
  readonly #pending = new Map<string, number>();
  readonly #onReady: () => void;

  /** Called once for every time that nothing is pending any more. */
  constructor(onReady: () => void = () => {}) {
    this.#onReady = onReady;
  }

  /** `state manager`, `proxy`, `dns proxy`, `workload proxy manager`. What it gives is called when that is done. */
  begin(task: string): () => void {
    this.#pending.set(task, (this.#pending.get(task) ?? 0) + 1);
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      const left = this.#pending.get(task)! - 1;
      if (left > 0) this.#pending.set(task, left);
      else this.#pending.delete(task);
      if (this.#pending.size === 0) this.#onReady();
    };
  }

  get pending(): string[] {
    return [...this.#pending.keys()].sort();
  }
}

export function readinessHandler(readiness: Readiness): HttpHandler {
  return ({ method, path }) => {
    if (path !== '/healthz/ready') return { status: 404 };
    if (method !== 'GET') return { status: 405 };
    const { pending } = readiness;
    if (pending.length === 0) return textResponse(200, 'ready\n');
    return textResponse(500, `not ready, pending: ${pending.join(', ')}\n`);
  };
}
