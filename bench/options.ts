/** The command line of the bench. */
import { parseArgs } from 'node:util';
import { ROUNDS_DEFAULT } from './limits.ts';
import { LOADS } from './loads.ts';

export interface Options {
  readonly help: boolean;
  readonly rounds: number;
  readonly quick: boolean;
  /** Names or first parts of names of loads; none: all. */
  readonly only: readonly string[];
  /** Names of subjects; none: all. */
  readonly subjects: readonly string[];
  readonly output: 'table' | 'json';
  readonly saveBaseline: boolean;
}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      subjects: { type: 'string', multiple: true, default: [] },
      output: { type: 'string', short: 'o', default: 'table' },
      'save-baseline': { type: 'boolean', default: false },
    },
  });
  const rounds = values.rounds === undefined ? (values.quick ? 1 : ROUNDS_DEFAULT) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds takes a whole number from 1 on`);
  const output = values.output;
  if (output !== 'table' && output !== 'json') throw new Error(`-o takes table or json, not ${output}`);
  if (values['save-baseline'] && values.quick) throw new Error('a quick run measures nothing and is no baseline');
  return {
    help: values.help,
    rounds,
    quick: values.quick,
    only: names(values.only),
    subjects: names(values.subjects),
    output,
    saveBaseline: values['save-baseline'],
  };
}

export function helpText(subjects: readonly string[]): string {
  return `npm run bench -- [options]

Runs loads against each subject in turn, several rounds, and prints medians with the least and the most.

  --rounds N         rounds; each starts every subject anew (${ROUNDS_DEFAULT})
  --only NAMES       only these loads, or all whose name starts so: ${LOADS.map((load) => load.name).join(' ')}
  --subjects NAMES   only these: ${subjects.join(' ')}
  --quick            a few seconds that prove that it all works; the figures mean nothing
  -o json            the whole result as JSON instead of the table
  --save-baseline    make this result bench/baseline.json, with which later runs are compared

Every result is also kept in bench/out. Peers are named by environment variables; without them they are not run:
  ZTUNNEL_BIN        Istio's ztunnel, built with its testing feature
  REACTOR_JS         the experiment that the reactor grew from

Examples
  npm run bench
  npm run bench -- --only rr,crr --rounds 3
  npm run bench -- --only idle --subjects ours
  ZTUNNEL_BIN=/path/to/ztunnel npm run bench -- --subjects ours,ztunnel,no-mesh
`;
}

function names(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => value.split(',')).filter((name) => name !== '');
}
