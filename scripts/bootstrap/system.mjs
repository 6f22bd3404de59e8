/** The programs from outside of npm: `nft` sets redirection up, `ip` makes namespaces. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Unmet } from './unmet.mjs';

const TOOLS = ['nft', 'ip'];
const PACKAGES_DEBIAN = ['nftables', 'iproute2'];

export function bringSystemTools() {
  if (missingTools(TOOLS, searchPath()).length === 0) return;
  const system = readSystem();
  if (system.isDebian && process.getuid?.() === 0) aptInstall(PACKAGES_DEBIAN);
  const missing = missingTools(TOOLS, searchPath());
  if (missing.length > 0) throw new Unmet(installHint(missing, system.ids));
}

/**
 * The directories for administrators too: a plain user's path on Debian lacks them, and `nft` and `ip` live there.
 *
 * @returns {string[]}
 */
export function searchPath() {
  const directories = (process.env.PATH ?? '').split(':').filter((directory) => directory !== '');
  return [...new Set([...directories, '/usr/sbin', '/sbin', '/usr/bin', '/bin'])];
}

/**
 * @param {readonly string[]} tools
 * @param {readonly string[]} directories
 * @returns {string[]}
 */
export function missingTools(tools, directories) {
  return tools.filter((tool) => !directories.some((directory) => isExecutable(join(directory, tool))));
}

/**
 * One sentence that can be copied.
 *
 * @param {readonly string[]} missing
 * @param {readonly string[]} ids Names of the distribution and of those it is like.
 * @returns {string}
 */
export function installHint(missing, ids) {
  const has = (/** @type {string[]} */ ...names) => names.some((name) => ids.includes(name));
  let how = 'install the packages nftables and iproute2 of your distribution';
  if (has('debian', 'ubuntu')) how = 'run: sudo apt-get install -y nftables iproute2';
  else if (has('fedora', 'rhel', 'centos')) how = 'run: sudo dnf install -y nftables iproute';
  else if (has('arch')) how = 'run: sudo pacman -S nftables iproute2';
  else if (has('suse', 'opensuse')) how = 'run: sudo zypper install nftables iproute2';
  return `Missing on this system: ${missing.join(', ')}. Please ${how}`;
}

/**
 * `ID` and `ID_LIKE` of os-release(5).
 *
 * @param {string} text
 * @returns {string[]}
 */
export function idsOf(text) {
  const values = [...text.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map(([, value = '']) => value.replace(/["']/g, ''));
  return values.flatMap((value) => value.split(' ')).filter((id) => id !== '');
}

function readSystem() {
  let text = '';
  try {
    text = readFileSync('/etc/os-release', 'utf8');
  } catch {
    // A system without the file is one that we know no command for.
  }
  const ids = idsOf(text);
  const isDebian = ids.includes('debian') || ids.includes('ubuntu');
  return { ids, isDebian: isDebian && missingTools(['apt-get'], searchPath()).length === 0 };
}

/** @param {readonly string[]} packages */
function aptInstall(packages) {
  process.stderr.write(`Installing ${packages.join(' ')} (apt-get) ...\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // apt-get's report is only of interest when it fails, and then all of it.
  const apt = (/** @type {string[]} */ ...args) =>
    spawnSync('apt-get', args, { env, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  apt('update', '-q');
  const { status, stdout, stderr } = apt('install', '-y', '-q', '--no-install-recommends', ...packages);
  if (status !== 0) throw new Unmet(`${stdout}${stderr}apt-get install ${packages.join(' ')} failed, see above.`);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
