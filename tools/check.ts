/** `npm run check`: types, lint and format, and the rules of the repository; one line for each, and what is wrong. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { loadProject } from './tidy/project.ts';
import { RULES } from './tidy/rules.ts';
import { readTree } from './tidy/tree.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

if (process.argv.length > 2) {
  console.error(`npm run check takes no ${process.argv[2]} (npm run check -- --help)`);
  process.exit(1);
}

const results = [
  runTool('types', 'tsc', ['-p', '.', '--pretty', 'false']),
  runTool('lint and format', 'biome', ['ci', '--colors=off', '--error-on-warnings', '.']),
  runTidy(),
];
const failed = results.filter((isRight) => !isRight).length;
console.log(failed === 0 ? 'check: all right' : `check: ${failed} of ${results.length} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function runTool(name: string, command: string, args: readonly string[]): boolean {
  const bin = fileURLToPath(new URL(`../node_modules/.bin/${command}`, import.meta.url));
  const { status, stdout, stderr, error } = spawnSync(bin, args, { cwd: root, encoding: 'utf8' });
  return say(name, status === 0, error === undefined ? `${stdout}${stderr}` : error.message);
}

function runTidy(): boolean {
  const project = loadProject(readTree(root));
  const findings = RULES.flatMap((rule) =>
    rule.check(project).map(({ path, line, message }) => `${path}:${line} ${message} (${rule.name})`),
  );
  return say('tidy', findings.length === 0, findings.join('\n'));
}

function say(name: string, isRight: boolean, details: string): boolean {
  console.log(`${isRight ? '  ok' : 'FAIL'}  ${name}`);
  if (!isRight) console.log(`${details.trimEnd()}\n`);
  return isRight;
}
