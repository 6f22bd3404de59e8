/** `npm run bench`: what the mesh costs, beside no mesh and beside others, on this machine. See README.md here. */
import { loadBaseline, saveBaseline, saveResult, settingsThatDiffer, summarize } from './baseline.ts';
import { Children } from './children.ts';
import { OPEN_FILES } from './load/limits.ts';
import { raiseOpenFiles } from './load/sockets.ts';
import { selectLoads } from './loads.ts';
import { helpText, type Options, parseOptions } from './options.ts';
import { report } from './report.ts';
import { type Plan, type Results, runBench } from './run.ts';
import { SUBJECTS, selectSubjects } from './subjects/all.ts';

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function main(options: Options, children: Children): Promise<number> {
  const plan: Plan = {
    subjects: selectSubjects(options.subjects),
    loads: selectLoads(options.only),
    rounds: options.rounds,
    quick: options.quick,
    // Inherited by every process started here, the subjects too.
    openFiles: raiseOpenFiles(OPEN_FILES),
  };
  const results = await runBench(plan, children, progress);
  const summary = summarize(plan, results);
  const baseline = options.quick ? null : loadBaseline();
  const output = { ...summary, runs: results };
  process.stdout.write(
    options.output === 'json' ? `${JSON.stringify(output)}\n` : `${report(plan, results, baseline)}\n`,
  );
  if (baseline !== null) {
    for (const difference of settingsThatDiffer(summary.settings, baseline.settings)) {
      progress(`the baseline was made under other settings: ${difference}`);
    }
  }
  progress(`kept as ${saveResult(output)}`);
  if (options.saveBaseline) progress(`saved ${saveBaseline(summary)}`);
  return hasFailure(results) ? 1 : 0;
}

function hasFailure(results: Results): boolean {
  return Object.values(results).some((row) => Object.values(row).some((cell) => cell.failures.length > 0));
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

const children = new Children();
process.on('exit', () => children.clean());
for (const [signal, status] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(status));
try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(helpText(SUBJECTS.map((subject) => subject.name)));
  else process.exitCode = await main(options, children);
} catch (error) {
  progress(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  children.clean();
}
