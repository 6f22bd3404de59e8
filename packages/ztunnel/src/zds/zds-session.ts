/**
 * What a request means at its place in one connection: requests before the snapshot's end name what there is, those after
 * it change it. As Istio's ztunnel (inpod/statemanager.rs); a new connection begins a new session.
 */
import type { ZdsPod, ZdsRequest } from '@ambit/wire/zds';

export type ZdsStep =
  | { readonly step: 'run'; readonly uid: string; readonly pod: ZdsPod }
  /** It runs on, if it runs. */
  | { readonly step: 'keep' }
  /** Not attempted any more; if it runs, the end of the snapshot decides. */
  | { readonly step: 'forget'; readonly uid: string }
  | { readonly step: 'stop'; readonly uid: string }
  /** Whatever was not named has gone while nobody was connected. */
  | { readonly step: 'reconcile'; readonly named: ReadonlySet<string> }
  /** The other side broke the order of the protocol. Istio's ztunnel exits here; we connect anew. */
  | { readonly step: 'violation'; readonly reason: string };

export class ZdsSession {
  readonly #named = new Set<string>();
  #snapshotReceived = false;

  get snapshotReceived(): boolean {
    return this.#snapshotReceived;
  }

  take(request: ZdsRequest): ZdsStep {
    switch (request.kind) {
      case 'add':
        if (!this.#snapshotReceived) this.#named.add(request.uid);
        return { step: 'run', uid: request.uid, pod: request.pod };
      case 'keep':
        if (this.#snapshotReceived) return { step: 'violation', reason: 'pod received keep after snapshot' };
        this.#named.add(request.uid);
        return { step: 'keep' };
      case 'del':
        if (this.#snapshotReceived) return { step: 'stop', uid: request.uid };
        this.#named.delete(request.uid);
        return { step: 'forget', uid: request.uid };
      case 'snapshot-sent':
        if (this.#snapshotReceived) return { step: 'violation', reason: 'pod snapshot received already' };
        this.#snapshotReceived = true;
        return { step: 'reconcile', named: this.#named };
    }
  }
}
