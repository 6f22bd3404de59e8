/**
 * What `npm start`, `npm test`, `npm run bench` and `npm run check` call: brings what the repository needs and hands over
 * to Node 26. It runs before any of that is there, so it is plain JavaScript for Node 18 and imports no package.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMMANDS, helpFor, usage } from './bootstrap/commands.mjs';
import { findNode } from './bootstrap/node.mjs';
import { bringPackages } from './bootstrap/packages.mjs';
import { runAndExit } from './bootstrap/run.mjs';
import { bringSystemTools, searchPath } from './bootstrap/system.mjs';
import { Unmet } from './bootstrap/unmet.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const [name = '', ...args] = process.argv.slice(2);
const command = COMMANDS.find((each) => each.name === name);

try {
  if (command === undefined) throw new Unmet(usage());
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(helpFor(command));
  } else {
    if (process.platform !== 'linux') {
      throw new Unmet(`Ambit runs on Linux (network namespaces, epoll); this is ${process.platform}.`);
    }
    bringPackages(root);
    const node = findNode(root);
    if (command.systemTools) bringSystemTools();
    process.env.PATH = searchPath().join(':');
    runAndExit(node, [...command.nodeFlags, join(root, command.file), ...args]);
  }
} catch (error) {
  if (!(error instanceof Unmet)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
