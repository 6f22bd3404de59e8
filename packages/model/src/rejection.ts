/** Why a resource of the control plane is not taken. The rest of its response is, and the reason goes back as a NACK. */
import { AmbitError } from '@ambit/base/errors';

/** `reason` is read by the operator of a control plane: it names field and value. */
export function rejection(reason: string): AmbitError {
  return new AmbitError('RESOURCE_REJECTED', reason, { side: 'upstream', retry: 'never' });
}

/** A number of an enum in our word; what is not in the table is rejected. */
export function enumWord<Word>(words: Readonly<Record<number, Word>>, value: number, field: string): Word {
  const word = words[value];
  if (word === undefined) throw rejection(`${field}: ${value} is not known`);
  return word;
}

/** As Istio's ztunnel keeps them: the lower 16 bits. */
export function portOf(value: number): number {
  return value & 0xffff;
}
