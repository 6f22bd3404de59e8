/** Runs a denied call again with a recorder and keeps the reasons: in short for the access log, in full by id for who asks. */
import type { Rng } from '@ambit/base/rng';
import type { UnknownPolicyRule } from '@ambit/model/authorize';
import type { Call } from '@ambit/model/call';
import { explain } from '@ambit/model/explain';
import { formatExplanation } from '@ambit/model/explain-format';
import type { PolicySet } from '@ambit/model/policy-set';
import type { DenialSink } from './pod-context.ts';

/** Enough that two denials of a day do not share an id, few enough to be typed. */
const ID_BYTES = 6;

export interface RecordedDenial {
  readonly id: string;
  /** In the words of Istio's ztunnel, and then why. */
  readonly short: string;
}

export class DenialRecorder {
  readonly #sink: DenialSink;
  readonly #rng: Rng;
  readonly #unknownPolicy: UnknownPolicyRule;

  constructor(sink: DenialSink, rng: Rng, unknownPolicy: UnknownPolicyRule) {
    this.#sink = sink;
    this.#rng = rng;
    this.#unknownPolicy = unknownPolicy;
  }

  /** `policies` are those that denied. */
  record(policies: PolicySet, call: Call): RecordedDenial {
    const explanation = explain(policies, call, this.#unknownPolicy);
    const id = this.#rng.bytes(ID_BYTES).toHex();
    this.#sink.denied(id, explanation);
    return { id, short: formatExplanation(explanation).short };
  }
}
