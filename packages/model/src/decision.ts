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
  readonly match: number;
  /** `principals`, `not_source_ips`, `destination_ports`. */
  readonly field: string;
  readonly wanted: readonly string[];
  readonly got: string;
  readonly matched: boolean;
}

export interface PolicyOutcome {
  readonly policy: string;
  readonly action: 'ALLOW' | 'DENY';
  /** Looked at, but without effect. */
  readonly dryRun: boolean;
  readonly matched: boolean;
}

export interface RuleOutcome extends PolicyOutcome {
  /** Zero-based. */
  readonly rule: number;
}

/** Steps come first, then the outcome of their rule, and after the last rule that was looked at, of the policy. */
export interface DecisionRecorder {
  step(step: ReasonStep): void;
  rule(outcome: RuleOutcome): void;
  policy(outcome: PolicyOutcome): void;
}

/** Collects up to `entriesMax` steps and as many policies; `truncated` says that there were more. */
export class ReasonList implements DecisionRecorder {
  readonly steps: ReasonStep[] = [];
  readonly outcomes: PolicyOutcome[] = [];
  truncated = false;
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  step(step: ReasonStep): void {
    if (this.steps.length < this.#entriesMax) this.steps.push(step);
    else this.truncated = true;
  }

  /** A step says which rule it is of. */
  rule(): void {}

  policy(outcome: PolicyOutcome): void {
    if (this.outcomes.length < this.#entriesMax) this.outcomes.push(outcome);
    else this.truncated = true;
  }
}
