/** A host that records what it is asked, and starts and stops pods when the test says so. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostedPod, PodHost, StopMode } from './pod-host.ts';

export class RecordingHost implements PodHost {
  /** `start a`, `started a`, `stop a drain`, `stopped a`. */
  readonly calls: string[] = [];
  readonly pods = new Map<string, HostedPod>();
  /** Uids whose start fails, and what it says. */
  readonly failing = new Map<string, string>();
  /** Calls for these uids do not settle before they are taken out. */
  readonly held = new Set<string>();

  async start(pod: HostedPod): Promise<void> {
    this.calls.push(`start ${pod.uid}`);
    await this.#release(pod.uid);
    const failure = this.failing.get(pod.uid);
    if (failure !== undefined) throw new Error(failure);
    this.pods.set(pod.uid, pod);
    this.calls.push(`started ${pod.uid}`);
  }

  async stop(uid: string, mode: StopMode): Promise<void> {
    this.calls.push(`stop ${uid} ${mode}`);
    await this.#release(uid);
    this.pods.delete(uid);
    this.calls.push(`stopped ${uid}`);
  }

  async #release(uid: string): Promise<void> {
    while (this.held.has(uid)) await sleep(1);
  }
}
