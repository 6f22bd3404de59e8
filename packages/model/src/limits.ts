/** Every bound of this package, with unit and reason. */

/** Keys of policies that were taken away, kept so that nobody waits for them. A mesh has fewer policies than this. */
export const REMOVED_POLICIES_MAX = 10_000;

/** Policies an explanation lists; the rest is counted. An explanation is read by a person and kept for a while. */
export const EXPLAINED_POLICIES_MAX = 100;

/** Steps of one rule, or of the rule that decided, that an explanation keeps. */
export const EXPLAINED_STEPS_MAX = 100;

/** Values of a field, and characters of a value, that an explanation prints. Certificates decide what a name is. */
export const PRINTED_VALUES_MAX = 5;
export const PRINTED_VALUE_MAX_CHARS = 200;
