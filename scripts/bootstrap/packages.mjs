/** Brings the packages that package-lock.json names, when they are missing or others are there. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Unmet } from './unmet.mjs';

/** @param {string} root */
export function bringPackages(root) {
  if (packagesAreCurrent(root)) return;
  const startedMs = Date.now();
  process.stderr.write('Bringing packages (npm ci; a minute or so the first time) ...\n');
  // `include`: also when NODE_ENV=production or npm's settings would leave out what the repository needs to run itself.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional'];
  args.push('--no-audit', '--no-fund', '--loglevel=error');
  const [command, commandArgs] = npmCommand(process.env.npm_execpath, args);
  const { error, status, stdout } = spawnSync(command, commandArgs, {
    cwd: root,
    env: npmEnvironment(process.env),
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (error !== undefined)
    throw new Unmet(`npm could not be started (${error.message}): install npm, version 8 or later.`);
  if (status !== 0) throw new Unmet(`${stdout}npm ci failed, see above: is the registry reachable from here?`);
  process.stderr.write(`Packages are there (${Math.round((Date.now() - startedMs) / 1000)} s).\n`);
}

/**
 * By what is in them and not by their dates: a checkout or an edit that changes no package must not cost a minute. npm
 * writes node_modules/.package-lock.json last, so it speaks of a finished installation.
 *
 * @param {string} root
 * @returns {boolean}
 */
export function packagesAreCurrent(root) {
  const wanted = readLock(join(root, 'package-lock.json'));
  const present = readLock(join(root, 'node_modules/.package-lock.json'));
  if (wanted === null || present === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/') || isForElsewhere(entry)) return true;
    const found = present[path];
    return found !== undefined && found.version === entry.version && found.resolved === entry.resolved;
  });
}

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {string} [resolved]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 */

/**
 * @param {string} file
 * @returns {Record<string, LockEntry> | null}
 */
function readLock(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return null;
  }
}

/**
 * Packages for other systems are in the lock file and never installed here.
 *
 * @param {LockEntry} entry
 * @returns {boolean}
 */
function isForElsewhere({ optional, os, cpu, libc }) {
  if (optional !== true) return false;
  const fits = (/** @type {string[] | undefined} */ names, /** @type {string} */ own) => names?.includes(own) ?? true;
  return !(fits(os, process.platform) && fits(cpu, process.arch) && fits(libc, 'glibc'));
}

/**
 * The npm that called us, by its file, because there may be none on the path; else the one on the path.
 *
 * @param {string | undefined} execPath
 * @param {readonly string[]} args
 * @returns {[string, string[]]}
 */
export function npmCommand(execPath, args) {
  if (execPath?.endsWith('npm-cli.js')) return [process.execPath, [execPath, ...args]];
  return ['npm', [...args]];
}

/**
 * Settings of the npm that called us arrive as npm_config_* and would count as this one's; where the packages come from
 * is kept.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @returns {NodeJS.ProcessEnv}
 */
export function npmEnvironment(environment) {
  const kept = /^npm_config_(registry|cache|userconfig|globalconfig|.*proxy|cafile|ca|strict_ssl)$/i;
  return Object.fromEntries(
    Object.entries(environment).filter(([key]) => !/^npm_config_/i.test(key) || kept.test(key)),
  );
}
