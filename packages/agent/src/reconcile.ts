/** What to do at the start, from what should be enrolled and what an earlier run left. Pure; enrolment.ts does it. */
import type { NamespaceIdentity } from '@ambit/platform/namespace';
import { isSameNamespace } from './network-namespace.ts';
import type { EnrolledRecord, Mechanism } from './state-file.ts';

export interface WantedPod {
  readonly uid: string;
  /** Null: its namespace is not to be found now. */
  readonly identity: NamespaceIdentity | null;
}

export interface FoundRecord {
  readonly record: EnrolledRecord;
  /** Its path still leads to its namespace. */
  readonly reachable: boolean;
}

export type ReconcileAction =
  /** `hasRules`: only what differs is installed. */
  | { readonly do: 'enrol'; readonly uid: string; readonly hasRules: boolean }
  /** Nothing is known of it but that it is wanted: the proxy keeps what it has. */
  | { readonly do: 'keep'; readonly uid: string }
  /** Rules of ours that nobody wants any more. `owner`: the pod that has the namespace, by another mechanism. */
  | { readonly do: 'clean'; readonly record: EnrolledRecord; readonly owner: string | null }
  /** The namespace is gone, and its rules with it. */
  | { readonly do: 'forget'; readonly record: EnrolledRecord };

/** In the order to do them: pods that are meshed stay so throughout, and the old rules go when the new ones stand. */
export function planReconcile(
  wanted: readonly WantedPod[],
  found: readonly FoundRecord[],
  mechanism: Mechanism,
): ReconcileAction[] {
  const pods = wanted.map(({ uid, identity }): ReconcileAction => {
    if (identity === null) return { do: 'keep', uid };
    const hasRules = found.some(({ record }) => isSameNamespace(record, identity) && record.mechanism === mechanism);
    return { do: 'enrol', uid, hasRules };
  });
  const left = found.flatMap((each) => judgeRecord(each, wanted, mechanism));
  return [
    ...pods,
    ...left.filter((action) => action.do === 'clean'),
    ...left.filter((action) => action.do === 'forget'),
  ];
}

function judgeRecord(
  { record, reachable }: FoundRecord,
  wanted: readonly WantedPod[],
  mechanism: Mechanism,
): ReconcileAction[] {
  const owner = wanted.find(({ identity }) => identity !== null && isSameNamespace(identity, record));
  // Also where the record's own path is gone: the pod's may be another.
  if (owner !== undefined) {
    return record.mechanism === mechanism ? [] : [{ do: 'clean', record, owner: owner.uid }];
  }
  if (!reachable) return [{ do: 'forget', record }];
  // Wanted, but not to be found where it should be: its rules stay, for traffic past the mesh would be worse.
  if (wanted.some(({ uid, identity }) => uid === record.uid && identity === null)) return [];
  return [{ do: 'clean', record, owner: null }];
}
