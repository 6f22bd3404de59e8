/** `npm start` as a person sees it: what it prints, its status, and that nothing is left. Needs root, ip and nft. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../examples/first-light/main.ts', import.meta.url));
const NAMESPACES = '/run/netns';

interface Run {
  readonly child: ChildProcess;
  output(): string;
  /** Resolves with the status when it has ended. */
  readonly end: Promise<number | null>;
  until(text: string): Promise<void>;
}

/** Whatever a test finds, its run does not outlive it. */
function start(context: TestContext, ...args: string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  context.after(() => child.kill('SIGTERM'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const end = once(child, 'close').then(([status]) => status as number | null);
  const until = async (text: string): Promise<void> => {
    for (let waitedMs = 0; !output.includes(text); waitedMs += 10) {
      assert.ok(waitedMs < 30_000 && child.exitCode === null, `"${text}" is printed:\n${output}`);
      await sleep(10);
    }
  };
  return { child, output: () => output, end, until };
}

/** Namespaces, files and processes of runs of first light. */
function traces(): string[] {
  const named = (directory: string): string[] =>
    existsSync(directory) ? readdirSync(directory).filter((name) => /^ambit-(first-light|compiled)-/.test(name)) : [];
  return [...named(NAMESPACES), ...named(tmpdir()), ...processes(/first-light\/(main|child)\.ts|ambit-first-light-/)];
}

/** Ids of the processes with such a command line. */
function processes(pattern: RegExp): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && pattern.test(readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' '));
    } catch {
      return false; // ended meanwhile
    }
  });
}

/** One attempt, by a program that knows nothing of the mesh. */
function fetchIn(namespace: string, url: string): string {
  const script = `process.stdout.write(await (await fetch(${JSON.stringify(url)})).text())`;
  const command = [process.execPath, '--input-type=module', '-e', script];
  return execFileSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8' });
}

/** Of this machine itself, which is none of first light's business. */
function hostRules(): string {
  return execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
}

test('one call is carried by the mesh, every claim holds, and nothing is left', async (context) => {
  const rulesBefore = hostRules();
  const run = start(context, '--once');
  const status = await run.end;
  const output = run.output();
  assert.equal(status, 0, output);
  assert.match(output, /1 {2}Without the mesh\n {2}✓ .+ -> 200, 49 bytes/);
  assert.match(output, /✓ the page can be read on the wire: "Plain words that anybody on the wire could read\."/);
  assert.match(output, /2 {2}With the mesh.*\n {2}✓ .+ -> 200, 49 bytes/);
  assert.match(output, /✓ the client's proxy verified the server as spiffe:\/\/cluster\.local\/ns\/demo\/sa\/web\n/);
  assert.match(output, /✓ the server's proxy verified the client as spiffe:\/\/cluster\.local\/ns\/demo\/sa\/client\n/);
  assert.match(output, /✓ the wire carried \d+ TLS records on port 15008 and nothing else/);
  assert.match(output, /✓ the page cannot be read on the wire/);
  assert.match(output, /✓ the connection was cut without an answer/);
  assert.match(output, /✓ the server's proxy says why: plaintext is not let in/);
  assert.ok(!output.includes('✗') && !output.includes('\x1b'), output);
  assert.deepEqual(traces(), []);
  assert.equal(hostRules(), rulesBefore);
});

test('where nothing leads into the mesh the claims do not hold, and the status says so', async (context) => {
  const run = start(context, '--once', '--without-redirection');
  assert.equal(await run.end, 1);
  assert.match(run.output(), /✓ the page can be read on the wire/, 'the first scene is the same');
  for (const claim of [
    "the client's proxy verified",
    "the server's proxy verified",
    'the wire carried',
    'the page cannot',
  ]) {
    assert.ok(run.output().includes(`✗ ${claim}`), run.output());
  }
  assert.match(run.output(), /✗ the connection was cut without an answer: it answered \d+ bytes/);
  assert.deepEqual(traces(), []);
});

test('it stays, shows further calls as they happen, and removes everything when it is stopped', async (context) => {
  const run = start(context);
  await run.until('In another terminal, try:');
  const [, namespace = '', url = ''] = /ip netns exec (\S+) curl (\S+)/.exec(run.output()) ?? [];
  const before = run.output().length;
  assert.match(fetchIn(namespace, url), /Plain words/);
  await run.until('inbound  10.77.0.1 -> 10.77.0.2:80  open, client spiffe://cluster.local/ns/demo/sa/client');
  assert.match(
    run.output().slice(before),
    /outbound {2}10\.77\.0\.1 -> 10\.77\.0\.2:80 {2}open, server spiffe:\S+\/web/,
  );
  const [dataChild] = processes(/first-light\/child\.ts/);
  process.kill(Number(dataChild), 'SIGKILL');
  assert.match(fetchIn(namespace, url), /Plain words/, 'the first call after the death of the data child');
  const [successor] = processes(/first-light\/child\.ts/);
  assert.ok(successor !== undefined && successor !== dataChild);
  assert.notDeepEqual(traces(), []);
  run.child.kill('SIGTERM');
  assert.equal(await run.end, 0, run.output());
  assert.deepEqual(traces(), []);
});

test('stopped in the middle it removes what it had made', async (context) => {
  const run = start(context, '--once');
  await run.until('Without the mesh');
  run.child.kill('SIGINT');
  assert.equal(await run.end, 1);
  assert.doesNotMatch(run.output(), /Past the mesh/);
  assert.deepEqual(traces(), []);
});

test('what a killed run leaves behind is removed by the next', async (context) => {
  const killed = start(context);
  await killed.until('In another terminal, try:');
  killed.child.kill('SIGKILL');
  await killed.end;
  assert.ok(traces().length >= 3, 'two namespaces and a folder are left');
  const next = start(context, '--once');
  assert.equal(await next.end, 0, next.output());
  assert.deepEqual(traces(), []);
});

test('without privilege it says so in one sentence', async () => {
  const child = spawn(process.execPath, [MAIN, '--once'], {
    uid: 65534,
    gid: 65534,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 1);
  assert.match(complaint, /^This process lacks CAP_SYS_ADMIN.*, so run it as root.*\n$/);
  assert.deepEqual(traces(), []);
});
