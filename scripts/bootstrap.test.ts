import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from './bootstrap/commands.mjs';
import { majorOf } from './bootstrap/node.mjs';
import { npmCommand, npmEnvironment, packagesAreCurrent } from './bootstrap/packages.mjs';
import { idsOf, installHint, missingTools } from './bootstrap/system.mjs';

const BOOTSTRAP = fileURLToPath(new URL('./bootstrap.mjs', import.meta.url));
const RUN = new URL('./bootstrap/run.mjs', import.meta.url);

function inDirectory<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-bootstrap-'));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('every command has help that needs no package', () => {
  for (const { name, summary } of COMMANDS) {
    for (const flag of ['--help', '-h']) {
      const { status, stdout } = spawnSync(process.execPath, [BOOTSTRAP, name, flag], { encoding: 'utf8', cwd: '/' });
      assert.equal(status, 0);
      assert.ok(stdout.startsWith(summary), stdout);
    }
  }
});

test('no command and an unknown one list the commands and fail', () => {
  for (const args of [[], ['nothing']]) {
    const { status, stderr } = spawnSync(process.execPath, [BOOTSTRAP, ...args], { encoding: 'utf8' });
    assert.equal(status, 1);
    for (const { npm } of COMMANDS) assert.ok(stderr.includes(npm));
  }
});

test('packages are current when those of the lock file for this system are there, in its versions', () => {
  const own = { optional: true, os: ['linux'], cpu: [process.arch], libc: ['glibc'] };
  const wanted = {
    '': { name: 'ambit' },
    'packages/base': { version: '0.1.0' },
    'node_modules/@ambit/base': { resolved: 'packages/base', link: true },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/own': { version: '2.0.0', ...own },
    'node_modules/musl': { version: '2.0.0', ...own, libc: ['musl'] },
    'node_modules/other': { version: '2.0.0', ...own, os: ['darwin'] },
  };
  const link = { resolved: 'packages/base', link: true };
  const all = { 'node_modules/@ambit/base': link, 'node_modules/a': { version: '1.0.0' } };
  const table: [string, object | null, boolean][] = [
    ['complete', { ...all, 'node_modules/own': { version: '2.0.0' } }, true],
    ['one more than needed', { ...all, 'node_modules/own': { version: '2.0.0' }, 'node_modules/b': {} }, true],
    ['another version', { ...all, 'node_modules/own': { version: '1.9.0' } }, false],
    ['one for this system missing', all, false],
    ['nothing installed', null, false],
  ];
  for (const [name, present, expected] of table) {
    inDirectory((root) => {
      writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: wanted }));
      mkdirSync(join(root, 'node_modules'));
      const hidden = join(root, 'node_modules/.package-lock.json');
      if (present !== null) writeFileSync(hidden, JSON.stringify({ packages: present }));
      assert.equal(packagesAreCurrent(root), expected, name);
    });
  }
});

test('npm is the one that called, and its settings do not leak, but for where packages come from', () => {
  assert.deepEqual(npmCommand('/opt/npm/bin/npm-cli.js', ['ci']), [
    process.execPath,
    ['/opt/npm/bin/npm-cli.js', 'ci'],
  ]);
  assert.deepEqual(npmCommand('/opt/yarn.js', ['ci']), ['npm', ['ci']]);
  assert.deepEqual(npmCommand(undefined, ['ci']), ['npm', ['ci']]);
  const environment = { PATH: '/bin', npm_config_once: 'true', npm_config_omit: 'dev', npm_config_registry: 'x' };
  assert.deepEqual(npmEnvironment(environment), { PATH: '/bin', npm_config_registry: 'x' });
});

test('the major version of a Node is read from the program itself', () => {
  assert.equal(majorOf(process.execPath), Number(process.versions.node.split('.')[0]));
  assert.equal(majorOf('/nonexistent/node'), 0);
  assert.equal(majorOf('/bin/true'), 0);
});

test('tools are missing when no directory has them as programs', () => {
  inDirectory((directory) => {
    for (const name of ['nft', 'ip']) writeFileSync(join(directory, name), '');
    chmodSync(join(directory, 'ip'), 0o755);
    assert.deepEqual(missingTools(['nft', 'ip', 'tc'], ['/nonexistent', directory]), ['nft', 'tc']);
  });
});

test('what is missing is said with the command that installs it', () => {
  const table: [string, RegExp][] = [
    ['ID=debian\n', /sudo apt-get install -y nftables iproute2$/],
    ['NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n', /apt-get install/],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', /sudo dnf install -y nftables iproute$/],
    ['ID=arch', /pacman/],
    ['', /install the packages nftables and iproute2/],
  ];
  for (const [osRelease, expected] of table) {
    const hint = installHint(['nft'], idsOf(osRelease));
    assert.match(hint, /^Missing on this system: nft\. /);
    assert.match(hint, expected);
  }
});

test('the status of the program is ours, and a signal that ends it ends us', () => {
  const run = (code: string) =>
    spawnSync(process.execPath, ['-e', `import(${JSON.stringify(RUN.href)}).then(({ runAndExit }) => ${code})`], {
      encoding: 'utf8',
    });
  const program = (body: string): string => `runAndExit(process.execPath, ['-e', ${JSON.stringify(body)}])`;
  assert.equal(run(program('process.exitCode = 0')).status, 0);
  assert.equal(run(program('process.exit(7)')).status, 7);
  assert.equal(run(program("process.kill(process.pid, 'SIGTERM')")).signal, 'SIGTERM');
  const missing = run(`runAndExit('/nonexistent/node', [])`);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /could not be started/);
});

test('a signal sent to us reaches the program, and its answer is ours', async () => {
  const body = "process.on('SIGINT', () => process.exit(3)); setInterval(() => {}, 1000); console.log('ready')";
  const code = `import(${JSON.stringify(RUN.href)}).then(({ runAndExit }) => runAndExit(process.execPath, ['-e', ${JSON.stringify(body)}]))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const ended = new Promise((resolve) => child.once('exit', (status) => resolve(status)));
  child.kill('SIGINT');
  assert.equal(await ended, 3);
});
