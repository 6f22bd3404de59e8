/** Who may call what: an allow list, and nothing beside it. The decision core replaces this (`@ambit/model`). */
import type { Decision } from '@ambit/model/decision';
import type { AllowRule } from './messages.ts';

export function authorize(rules: readonly AllowRule[], identity: string, port: number): Decision {
  const index = rules.findIndex((rule) => rule.identity === identity && rule.port === port);
  return index < 0 ? { verdict: 'deny', by: 'no rule' } : { verdict: 'allow', by: `rule ${index}` };
}
