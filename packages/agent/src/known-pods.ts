/** What the ZDS server tells of: asked anew whenever something is sent, so that nothing old is. */
import type { ZdsPod } from '@ambit/wire/zds';

export interface KnownPod extends ZdsPod {
  readonly uid: string;
  /** Open while the pod is known. Null: not at hand now, so the proxy is only told to keep what it has. */
  readonly namespaceFd: number | null;
}

export interface KnownPods {
  get(uid: string): KnownPod | undefined;
  uids(): Iterable<string>;
}
