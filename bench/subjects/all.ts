/** Every subject, in the order of the report. */
import { noMesh } from './no-mesh.ts';
import { ours, oursTwo } from './ours.ts';
import { reactorExperiment } from './reactor-experiment.ts';
import type { Subject } from './subject.ts';
import { ztunnel } from './ztunnel.ts';

export const SUBJECTS: readonly Subject[] = [noMesh, ours, oursTwo, ztunnel, reactorExperiment];

export function selectSubjects(names: readonly string[]): readonly Subject[] {
  for (const name of names) {
    if (!SUBJECTS.some((subject) => subject.name === name)) {
      throw new Error(`no subject is named ${name}; there are: ${SUBJECTS.map((subject) => subject.name).join(' ')}`);
    }
  }
  return names.length === 0 ? SUBJECTS : SUBJECTS.filter((subject) => names.includes(subject.name));
}
