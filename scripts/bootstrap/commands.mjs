/**
 * The commands, and their help, which must work before anything is installed. What options mean is decided in `file`.
 *
 * @typedef {object} Command
 * @property {string} name
 * @property {string} npm How a person calls it.
 * @property {string} summary
 * @property {string} file From the root of the repository.
 * @property {readonly string[]} nodeFlags
 * @property {boolean} systemTools It makes network namespaces: `nft` and `ip` must be there.
 * @property {readonly (readonly [string, string])[]} options
 */

/** @type {readonly Command[]} */
export const COMMANDS = [
  {
    name: 'start',
    npm: 'npm start',
    summary: 'Meshes an ordinary web server and curl in two network namespaces and shows one call between them.',
    file: 'examples/first-light/main.ts',
    nodeFlags: [],
    systemTools: true,
    options: [['--once', 'end after the call; the exit status tells whether it worked']],
  },
  {
    name: 'test',
    npm: 'npm test',
    summary: 'Runs the tests. Ends with "N passed, N failed, N skipped".',
    file: 'tools/test.ts',
    nodeFlags: [],
    systemTools: true,
    options: [
      ['NAME ...', 'only the group unit, engine or e2e, a path, or files whose path contains NAME'],
      ['--all', 'also the slow suites (*.slow.test.ts), as with CI=true'],
      ['--list', 'say which files would run'],
    ],
  },
  {
    name: 'bench',
    npm: 'npm run bench',
    summary: 'Measures rates, latency, CPU and memory, and prints ratios between the subjects.',
    file: 'bench/main.ts',
    nodeFlags: [],
    systemTools: true,
    options: [
      ['--quick', 'does it all work? seconds; the figures mean nothing'],
      ['...', 'what bench/README.md lists'],
      ['ZTUNNEL_BIN=FILE', "in the environment: compare with Istio's ztunnel"],
      ['REACTOR_JS=FILE', 'in the environment: compare with another reactor'],
    ],
  },
  {
    name: 'check',
    npm: 'npm run check',
    summary: 'Checks types, lint, format and the rules of the repository (tidy).',
    file: 'tools/check.ts',
    nodeFlags: ['--disable-warning=ExperimentalWarning'],
    systemTools: false,
    options: [],
  },
];

/** @returns {string} */
export function usage() {
  return ['Commands:', ...COMMANDS.map(({ npm, summary }) => `  ${npm.padEnd(14)} ${summary}`)].join('\n');
}

/**
 * @param {Command} command
 * @returns {string}
 */
export function helpFor({ npm, summary, options }) {
  const lines = [summary, '', `  ${npm}${options.length > 0 ? ' -- [options]' : ''}`];
  if (options.length > 0) lines.push('');
  for (const [option, meaning] of options) lines.push(`  ${option.padEnd(18)} ${meaning}`);
  return `${lines.join('\n')}\n`;
}
