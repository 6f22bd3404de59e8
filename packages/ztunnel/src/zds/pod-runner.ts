/**
 * Brings each pod from what is to what is wanted, one call to the host at a time, whatever comes meanwhile. A pod whose
 * start failed stays wanted, and is pending until an attempt succeeds or nobody wants it any more.
 */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import type { ZdsPod } from '@ambit/wire/zds';
import type { PodHost, StopMode } from './pod-host.ts';
import type { PodNamespace } from './pod-namespace.ts';

export interface PodRunnerDeps {
  readonly host: PodHost;
  /** Something started, stopped, failed or was forgotten. */
  onChange(): void;
  /** A host that could not stop a pod: it counts as stopped, for there is nothing else to do. */
  onStopFailed(uid: string, error: AmbitError): void;
}

interface Run {
  readonly pod: ZdsPod;
  readonly namespace: PodNamespace;
}

interface Entry {
  readonly uid: string;
  wanted: Run | null;
  current: Run | null;
  /** The host is starting it just now. */
  starting: Run | null;
  stopMode: StopMode;
  /** Of the last attempt at `wanted`. */
  error: string;
  settling: Promise<void> | null;
}

export class PodRunner {
  readonly #deps: PodRunnerDeps;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: PodRunnerDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** Pods that are wanted and do not run: failed, or on their way. */
  get pending(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (isPending(entry)) count += 1;
    return count;
  }

  /** Settles when the pod runs (an empty text) or an attempt failed (why). The namespace is the runner's from now on. */
  async run(uid: string, pod: ZdsPod, namespace: PodNamespace): Promise<string> {
    const entry = this.#entries.get(uid) ?? this.#newEntry(uid);
    if (entry.wanted?.namespace.isSame(namespace)) {
      namespace.close();
      if (entry.wanted === entry.current) return '';
    } else {
      this.#want(entry, { pod, namespace }, 'immediate');
    }
    const run = entry.wanted;
    await this.#settle(entry);
    if (entry.wanted !== run) return 'it is not wanted any more';
    return entry.current === run ? '' : entry.error;
  }

  stop(uid: string, mode: StopMode): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#want(entry, null, mode);
    void this.#settle(entry);
  }

  /** Not attempted any more; unlike `stop` it leaves alone what runs. */
  forgetPending(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined || !isPending(entry)) return;
    this.#want(entry, null, 'immediate');
    void this.#settle(entry);
  }

  stopAllBut(named: ReadonlySet<string>, mode: StopMode): string[] {
    const stopped = [...this.#entries.keys()].filter((uid) => !named.has(uid));
    for (const uid of stopped) this.stop(uid, mode);
    return stopped;
  }

  /** Another attempt at what is pending. */
  retryPending(): void {
    for (const entry of this.#entries.values()) if (isPending(entry)) void this.#settle(entry);
  }

  /** Settles when no call to the host is under way. */
  async settled(): Promise<void> {
    while ([...this.#entries.values()].some(({ settling }) => settling !== null)) {
      await Promise.all([...this.#entries.values()].map(({ settling }) => settling));
    }
  }

  #newEntry(uid: string): Entry {
    const entry: Entry = {
      uid,
      wanted: null,
      current: null,
      starting: null,
      stopMode: 'immediate',
      error: '',
      settling: null,
    };
    this.#entries.set(uid, entry);
    return entry;
  }

  #want(entry: Entry, run: Run | null, mode: StopMode): void {
    const before = entry.wanted;
    entry.wanted = run;
    entry.stopMode = mode;
    entry.error = '';
    // What runs or starts is closed by `#bring`, once it has stopped.
    if (before !== null && before !== entry.current && before !== entry.starting) before.namespace.close();
  }

  #settle(entry: Entry): Promise<void> {
    entry.settling ??= this.#bring(entry);
    return entry.settling;
  }

  async #bring(entry: Entry): Promise<void> {
    await null; // `settling` is set before it is cleared
    for (;;) {
      const { current, wanted } = entry;
      if (current !== null && current !== wanted) await this.#stopCurrent(entry, current);
      else if (wanted === null || wanted === current) break;
      else {
        await this.#startWanted(entry, wanted);
        if (entry.current === null && entry.wanted === wanted) break;
      }
    }
    // In one go with the last look, so that no change is lost between the two.
    entry.settling = null;
    if (entry.wanted === null) this.#entries.delete(entry.uid);
    this.#deps.onChange();
  }

  async #stopCurrent(entry: Entry, run: Run): Promise<void> {
    try {
      await this.#deps.host.stop(entry.uid, entry.stopMode);
    } catch (thrown) {
      this.#deps.onStopFailed(entry.uid, asAmbitError(thrown));
    }
    entry.current = null;
    run.namespace.close();
  }

  async #startWanted(entry: Entry, run: Run): Promise<void> {
    entry.starting = run;
    try {
      await this.#deps.host.start({ uid: entry.uid, ...run.pod, namespaceFd: run.namespace.fd });
      entry.current = run;
    } catch (thrown) {
      if (entry.wanted !== run) run.namespace.close();
      else entry.error = asAmbitError(thrown).message;
    } finally {
      entry.starting = null;
    }
  }
}

function isPending({ wanted, current }: Entry): boolean {
  return wanted !== null && wanted !== current;
}
