/** What ZDS asks of the proxy: to serve a pod and to stop serving it. */
import type { ZdsPod } from '@ambit/wire/zds';

export interface HostedPod extends ZdsPod {
  readonly uid: string;
  /** Open until the `stop` of this pod has settled, and not the host's to close. */
  readonly namespaceFd: number;
}

/** `drain`: calls in progress may end. `immediate`: they are cut. */
export type StopMode = 'drain' | 'immediate';

/** Calls for one pod follow one another: none comes before the promise of the one before it has settled. */
export interface PodHost {
  /** Settles when the pod's ports are served. A host that rejects has left nothing behind, and is asked again later. */
  start(pod: HostedPod): Promise<void>;
  /** Settles when the pod's ports are free; a drain goes on after that. */
  stop(uid: string, mode: StopMode): Promise<void>;
}
