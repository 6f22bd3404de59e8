/**
 * `npm test`: runs the suites, each file in a process of its own, tells failures as they come and ends with the line
 * `N passed, N failed, N skipped`. A file that crashes, hangs or holds no test counts as failed.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeFailure, type FileResult } from './test/report.ts';
import { runFile } from './test/run-file.ts';
import { findTestFiles, parseSelection, type TestGroup } from './test/select.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** A fast suite runs in seconds; minutes mean that it hangs. */
const FILE_TIMEOUT_MS = 240_000;
const FILE_TIMEOUT_SLOW_MS = 1_800_000;

const selection = parseSelection(process.argv.slice(2), process.env.CI === 'true');
if (typeof selection === 'string') {
  console.error(`${selection} (npm test -- --help)`);
  process.exit(1);
}
const groups = findTestFiles(root, selection);
const files = groups.flatMap((group) => group.files);
if (selection.list) {
  for (const file of files) console.log(file);
  process.exit(0);
}
if (files.length === 0) {
  console.error(`no test file matches ${selection.names.join(' ')}`);
  process.exit(1);
}

const results: FileResult[] = [];
for (const group of groups) await runGroup(group);
process.exitCode = summarize(results);

/** As many files at once as the group can bear. */
async function runGroup(group: TestGroup): Promise<void> {
  if (group.files.length === 0) return;
  console.log(`\n${group.name}`);
  const waiting = [...group.files];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const timeoutMs = file.endsWith('.slow.test.ts') ? FILE_TIMEOUT_SLOW_MS : FILE_TIMEOUT_MS;
      const result = await runFile(root, file, timeoutMs);
      results.push(result);
      report(result);
    }
  };
  await Promise.all(Array.from({ length: group.concurrency }, work));
}

function report(result: FileResult): void {
  const seconds = (result.durationMs / 1000).toFixed(1);
  const word = result.failures.length > 0 ? 'FAIL' : '  ok';
  console.log(`${word}  ${result.file}  ${result.passed} in ${seconds} s`);
  for (const failure of result.failures) console.log(describeFailure(failure, join(root, result.file)));
}

function summarize(all: readonly FileResult[]): number {
  const count = (of: (result: FileResult) => number): number => all.reduce((sum, result) => sum + of(result), 0);
  const failed = count((result) => result.failures.length);
  console.log('');
  for (const { file, failures } of all) for (const { name } of failures) console.log(`failed: ${file}: ${name}`);
  for (const { file, skipped } of all) for (const name of skipped) console.log(`skipped: ${file}: ${name}`);
  console.log(
    `${count((result) => result.passed)} passed, ${failed} failed, ${count((result) => result.skipped.length)} skipped`,
  );
  return failed > 0 ? 1 : 0;
}
