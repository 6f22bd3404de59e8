/** A denial in the words of Istio's ztunnel, and its reasons: asked for again from what decided, if the sink wants them. */
import { NONE_ALLOWED, UNKNOWN_POLICY, type UnknownPolicyRule } from '@ambit/model/authorize';
import type { Call } from '@ambit/model/call';
import type { Decision } from '@ambit/model/decision';
import { explain } from '@ambit/model/explain';
import type { PolicySet } from '@ambit/model/policy-set';
import type { Denial } from '@ambit/telemetry/access-log';
import type { DenialSink } from './pod-context.ts';

export class Denials {
  readonly #sink: DenialSink;
  readonly #unknownPolicy: UnknownPolicyRule;

  constructor(sink: DenialSink, unknownPolicy: UnknownPolicyRule) {
    this.#sink = sink;
    this.#unknownPolicy = unknownPolicy;
  }

  /** `policies` are those that denied. */
  reasonsOf(decision: Decision, policies: PolicySet, call: Call): Denial | null {
    return this.#sink.denied(decision, call, () => explain(policies, call, this.#unknownPolicy));
  }
}

export function rejectionMessage({ by }: Decision): string {
  const prefix = 'connection closed due to policy rejection';
  if (by === NONE_ALLOWED) return `${prefix}: allow policies exist, but none allowed`;
  if (by === UNKNOWN_POLICY) return `${prefix}: a policy that the workload names is not known yet`;
  return `${prefix}: explicitly denied by: ${by}`;
}
