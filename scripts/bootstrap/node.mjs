/** Finds the Node that runs everything else: the pinned one from the packages, else the one running this, if new enough. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Unmet } from './unmet.mjs';

const MAJOR_MIN = 26;

/**
 * @param {string} root
 * @returns {string} its executable
 */
export function findNode(root) {
  const pinned = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
  for (const candidate of [pinned, process.execPath]) {
    if (majorOf(candidate) >= MAJOR_MIN) return candidate;
  }
  throw new Unmet(
    `Node ${MAJOR_MIN} did not come with the packages for ${process.arch}: it exists there for x64 and arm64 with glibc. ` +
      `Install Node ${MAJOR_MIN} and run this again with it (present: ${process.version}).`,
  );
}

/**
 * @param {string} node
 * @returns {number} 0 when it does not run here
 */
export function majorOf(node) {
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  return Number(/^v(\d+)\./.exec(stdout ?? '')?.[1] ?? 0);
}
