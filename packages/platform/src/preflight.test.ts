import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { libc, libuv, missingSymbols, openssl } from './ffi.ts';
import { NODE_MAJOR_MIN, nodeVersionProblem } from './node-version.mjs';
import { checkPlatform, type PlatformNeeds } from './preflight.ts';

const EVERYTHING: PlatformNeeds = { openssl: true, namespaces: true, netAdmin: true, rawSockets: true };

/** What a process started with `command` before node prints as its answer: `CODE sentence`, or `null`. */
function preflightIn(command: readonly string[], needs: PlatformNeeds, prelude = ''): string {
  const program = `${prelude}
    const { checkPlatform } = await import('@ambit/platform/preflight');
    const problem = await checkPlatform(${JSON.stringify(needs)});
    process.stdout.write(problem === null ? 'null' : problem.code + ' ' + problem.message);`;
  const [file = '', ...args] = [...command, process.execPath, '--input-type=module', '-e', program];
  const run = spawnSync(file, args, { cwd: import.meta.dirname, encoding: 'utf8' });
  assert.equal(run.stderr, '', 'no stack trace');
  assert.equal(run.status, 0);
  assert.ok(!/[.\n] |\n/.test(run.stdout.replace('nodejs.org ', '')), `one sentence: ${run.stdout}`);
  return run.stdout;
}

/** Changes the source of a module while it loads. */
function doctored(path: string, from: string, to: string): string {
  return `
    import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) {
      const loaded = next(url, context);
      if (!url.endsWith(${JSON.stringify(path)})) return loaded;
      const source = loaded.source.toString();
      if (!source.includes(${JSON.stringify(from)})) throw new Error('nothing to doctor');
      return { ...loaded, source: source.replace(${JSON.stringify(from)}, ${JSON.stringify(to)}) };
    } });`;
}

test('this process, which runs the tests as root, lacks nothing', async () => {
  assert.deepEqual(missingSymbols, []);
  assert.equal(await checkPlatform(EVERYTHING), null);
});

test('every name in the tables is a direct foreign function', () => {
  for (const table of [libc, openssl, libuv]) {
    assert.equal(Object.getPrototypeOf(table), Object.prototype);
    for (const [name, call] of Object.entries(table)) {
      assert.ok('info' in call, `${name} is koffi's own function`);
      assert.equal(Object.getOwnPropertyDescriptor(table, name)?.get, undefined);
    }
  }
});

test('only a Node of the needed major version passes', () => {
  for (const version of ['18.19.0', '20.20.2', '22.18.0', '25.9.9']) {
    assert.match(
      nodeVersionProblem(version) ?? '',
      new RegExp(`^Ambit needs Node ${NODE_MAJOR_MIN} .* Node ${version},`),
    );
  }
  for (const version of [`${NODE_MAJOR_MIN}.0.0`, `${NODE_MAJOR_MIN}.10.0`, '30.1.0']) {
    assert.equal(nodeVersionProblem(version), null);
  }
});

test('whatever node is on the path reads the version check and gets its own answer', () => {
  const url = JSON.stringify(pathToFileURL(`${import.meta.dirname}/node-version.mjs`));
  const program = `import(${url}).then((m) => process.stdout.write(JSON.stringify({
    version: process.versions.node, problem: m.nodeVersionProblem(process.versions.node) })))`;
  const run = spawnSync('node', ['-e', program], { encoding: 'utf8' });
  assert.equal(run.stderr, '');
  const { version, problem } = JSON.parse(run.stdout) as { version: string; problem: string | null };
  if (Number.parseInt(version, 10) < NODE_MAJOR_MIN) assert.match(problem ?? '', /^Ambit needs Node 26/);
  else assert.equal(problem, null);
});

test('a node that reads TypeScript but is too old is told so', () => {
  const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '24.4.1' } });`;
  assert.match(
    preflightIn([], {}, older),
    /^PREFLIGHT_NODE Ambit needs Node 26 or newer and this is Node 24\.4\.1, so /,
  );
});

test('another system is told where Ambit runs, before anything foreign is loaded', () => {
  const mac = `Object.defineProperty(process, 'platform', { value: 'darwin' });`;
  assert.match(preflightIn([], {}, mac), /^PREFLIGHT_SYSTEM .* this is darwin on \w+, so run it there/);
});

test('a Node without one of the OpenSSL symbols is named with it, where TLS is needed and only there', () => {
  const without = doctored('/ffi.ts', 'int SSL_has_pending(', 'int SSL_has_absent(');
  assert.match(
    preflightIn([], { openssl: true }, without),
    /^PREFLIGHT_SYMBOLS This Node does not export SSL_has_pending, so use the Node that/,
  );
  assert.equal(preflightIn([], {}, without), 'null');
});

test('a system without one of the libc functions is named with it', () => {
  const without = doctored('/ffi.ts', 'int accept4(', 'int accept_absent(');
  assert.match(preflightIn([], {}, without), /^PREFLIGHT_SYMBOLS This system lacks accept4, so use a Linux with glibc/);
});

test('a system without glibc is a sentence too, and not a list of forty names', () => {
  const without = doctored('/ffi.ts', "'libc.so.6'", "'libc.absent.so'");
  assert.match(preflightIn([], {}, without), /^PREFLIGHT_SYMBOLS This system lacks \w+, \w+, \w+ and \d+ more, so /);
});

test('a koffi that does not load is a sentence too', () => {
  const without = doctored('/ffi.ts', "'koffi'", "'koffi-absent'");
  assert.match(
    preflightIn([], {}, without),
    /^PREFLIGHT_FFI Foreign functions cannot be loaded \(.*\), so run "npm ci"/,
  );
});

test('an OpenSSL that makes no context is refused', () => {
  const without = doctored('/ffi.ts', 'uint64 TLS_method()', 'uint64 ERR_peek_error()');
  assert.match(
    preflightIn([], { openssl: true }, without),
    /^PREFLIGHT_SYMBOLS This Node has an OpenSSL that makes no TLS/,
  );
});

test('a process without privilege is told which one, for each need, and may do without where it needs none', () => {
  const powerless = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
  const answers = {
    namespaces: /^PREFLIGHT_PRIVILEGE This process lacks CAP_SYS_ADMIN, CAP_NET_ADMIN, so run it as root/,
    netAdmin: /^PREFLIGHT_PRIVILEGE This process lacks CAP_NET_ADMIN, so/,
    rawSockets: /^PREFLIGHT_PRIVILEGE This process lacks CAP_NET_RAW, so/,
  };
  for (const [need, expected] of Object.entries(answers)) {
    assert.match(preflightIn(powerless, { [need]: true }), expected);
  }
  assert.equal(preflightIn(powerless, { openssl: true }), 'null');
});

test('root of a user namespace of its own has what the rootless mode needs', () => {
  assert.equal(preflightIn(['unshare', '--user', '--map-root-user', '--net'], EVERYTHING), 'null');
});
