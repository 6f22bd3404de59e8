/**
 * A decision is a verdict, and the same function run again with a recorder gives the reasons. Traffic that is allowed
 * runs with `null`: reasons cost nothing on the way of the many.
 */
export interface Decision {
  readonly verdict: 'allow' | 'deny';
  /** What decided: `namespace/name` of a policy, or one of the fixed words of the function that decides. */
  readonly by: string;
}

/** One condition that was looked at, in the words of the policy's author. */
export interface ReasonStep {
  /** `namespace/name`. */
  readonly policy: string;
  readonly action: 'ALLOW' | 'DENY';
  /** Zero-based places in the policy. */
  readonly rule: number;
  readonly clause: number;
  /** `principals`, `not_source_ips`, `destination_ports`. */
  readonly field: string;
  readonly wanted: readonly string[];
  readonly got: string;
  readonly matched: boolean;
}

export interface DecisionRecorder {
  step(step: ReasonStep): void;
}

/** Collects up to `stepsMax` steps; `truncated` says that there were more. */
export class ReasonList implements DecisionRecorder {
  readonly steps: ReasonStep[] = [];
  truncated = false;
  readonly #stepsMax: number;

  constructor(stepsMax: number) {
    this.#stepsMax = stepsMax;
  }

  step(step: ReasonStep): void {
    if (this.steps.length < this.#stepsMax) this.steps.push(step);
    else this.truncated = true;
  }
}
