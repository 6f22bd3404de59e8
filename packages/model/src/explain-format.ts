/**
 * An explanation in words: one line for the access log, several for a person who asks. The line begins with the words of
 * Istio's ztunnel, because alerts and tests look for them. Names of peers and policies are quoted and cut: whoever can
 * choose a name must not be able to write lines of our log.
 */
import type { ReasonStep } from './decision.ts';
import type { ExplainedRule, Explanation } from './explain.ts';
import { PRINTED_VALUE_MAX_CHARS, PRINTED_VALUES_MAX } from './limits.ts';

export interface FormattedExplanation {
  readonly short: string;
  readonly long: string;
}

export function formatExplanation(explanation: Explanation): FormattedExplanation {
  return { short: formatShort(explanation), long: formatLong(explanation) };
}

function formatShort(explanation: Explanation): string {
  const { deciding, nearest } = explanation;
  const verdict = formatVerdict(explanation);
  if (deciding !== null) {
    const [first] = deciding.holding;
    return `${verdict} ${placeOf(deciding)}${first === undefined ? '' : `: ${formatStep(first)}`}`;
  }
  if (nearest === null) return verdict;
  const [first] = nearest.failing;
  const more = nearest.failingCount > 1 ? ` and ${nearest.failingCount - 1} more` : '';
  return `${verdict}; nearest ${quote(nearest.policy)} ${placeOf(nearest)}: ${first === undefined ? '' : formatStep(first)}${more}`;
}

function formatLong(explanation: Explanation): string {
  const { deciding, nearest, tried, triedCount, call } = explanation;
  const source = call.principal === null ? 'no identity (plaintext)' : quote(call.principal);
  const lines = [
    formatVerdict(explanation),
    `call: ${source} at ${call.sourceIp}, to ${call.destinationIp} port ${call.destinationPort} in namespace ${quote(call.destination.namespace)}`,
  ];
  if (deciding !== null) {
    lines.push(`decided: ${quote(deciding.policy)} ${placeOf(deciding)} matched`);
    if (deciding.holding.length === 0) lines.push('  it asks for nothing and matches every call');
    lines.push(...deciding.holding.map((step) => `  ${formatStep(step)}`));
  }
  if (nearest !== null) {
    lines.push(
      `nearest: ${quote(nearest.policy)} ${placeOf(nearest)}, conditions that failed: ${nearest.failingCount}`,
    );
    lines.push(...nearest.failing.map((step) => `  failed: ${formatStep(step)}`));
    lines.push(...nearest.holding.map((step) => `  held:   ${formatStep(step)}`));
  }
  lines.push(`policies tried: ${triedCount}`);
  for (const { policy, action, dryRun, matched } of tried) {
    lines.push(`  ${action} ${quote(policy)}${dryRun ? ' (dry run)' : ''}: ${matched ? 'matched' : 'did not match'}`);
  }
  if (triedCount > tried.length) lines.push(`  and ${triedCount - tried.length} more`);
  return lines.join('\n');
}

function formatVerdict({ decision, deciding, unknown }: Explanation): string {
  if (decision.verdict === 'allow') return `allowed by: ${printable(decision.by)}`;
  if (deciding !== null) return `explicitly denied by: ${printable(decision.by)}`;
  if (unknown.length > 0) return `policy not known yet: ${list(unknown)}`;
  return 'allow policies exist, but none allowed';
}

/** As the path in the policy. */
function placeOf({ rule }: ExplainedRule): string {
  return `rules[${rule}]`;
}

function formatStep({ clause, match, field, wanted, got }: ReasonStep): string {
  const place = `clauses[${clause}].matches[${match}].${field}`;
  if (wanted.length === 0) return place;
  const which = field.startsWith('not_') ? 'none of' : 'one of';
  return `${place} wanted ${which} ${list(wanted)}, got ${got === '' ? 'nothing' : quote(got)}`;
}

function list(values: readonly string[]): string {
  const shown = values.slice(0, PRINTED_VALUES_MAX).map(quote).join(', ');
  return values.length > PRINTED_VALUES_MAX ? `${shown} and ${values.length - PRINTED_VALUES_MAX} more` : shown;
}

function quote(text: string): string {
  return `"${printable(text)}"`;
}

/** Escapes what could end a line or a quotation; cuts what is too long. */
function printable(text: string): string {
  const cut = text.length > PRINTED_VALUE_MAX_CHARS ? `${text.slice(0, PRINTED_VALUE_MAX_CHARS)}...` : text;
  return JSON.stringify(cut)
    .slice(1, -1)
    .replace(/[\u007f-\u009f\u2028\u2029]/g, escapeUnicode);
}

function escapeUnicode(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
