import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { FileResult } from './report.ts';
import { runFile } from './run-file.ts';

const IMPORT = "import test from 'node:test';\n";

async function run(code: string, timeoutMs = 30_000): Promise<FileResult> {
  const root = mkdtempSync(join(tmpdir(), 'ambit-run-file-'));
  try {
    writeFileSync(join(root, 'x.test.mjs'), code);
    return await runFile(root, 'x.test.mjs', timeoutMs);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('passes, failures with their place, skips and subtests come through', async () => {
  const result = await run(`${IMPORT}
    test('passes', () => {});
    test('fails', () => { throw new Error('broke here'); });
    test('skipped', { skip: 'no peer' }, () => {});
    test('outer', async (t) => {
      await t.test('inner passes', () => {});
      await t.test('inner fails', () => { throw new Error('inside'); });
    });`);
  assert.equal(result.passed, 2);
  assert.deepEqual(result.skipped, ['skipped (no peer)']);
  assert.deepEqual(
    result.failures.map(({ name, line }) => [name, line]),
    [
      ['fails', 4],
      ['inner fails', 8],
    ],
  );
  assert.match(result.failures[0]?.text ?? '', /broke here/);
});

test('a file that throws, leaves early, falls, hangs or is empty fails', async () => {
  const table: [string, string, RegExp][] = [
    ['throws', "throw new Error('at import')", /status 1/],
    ['leaves early', `${IMPORT}test('one', () => {}); test('two', () => process.exit(0));`, /holds no test|before its/],
    ['falls', `${IMPORT}test('one', () => process.kill(process.pid, 'SIGSEGV'));`, /ended by SIGSEGV/],
    ['hangs', `${IMPORT}test('one', () => {}); setInterval(() => {}, 1000);`, /did not end in time/],
    ['is empty', "console.log('nothing')", /holds no test/],
  ];
  for (const [name, code, expected] of table) {
    const { failures } = await run(code, name === 'hangs' ? 2000 : 30_000);
    assert.equal(failures.length, 1, name);
    assert.match(failures[0]?.name ?? '', expected, name);
  }
});

test('what a file started and left behind is ended with it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-left-'));
  try {
    const file = join(directory, 'pid');
    const result = await run(`${IMPORT}
      import { spawn } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      test('leaves a process', () => {
        const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
        writeFileSync(${JSON.stringify(file)}, String(child.pid));
        child.unref();
      });`);
    assert.equal(result.passed, 1);
    const pid = readFileSync(file, 'utf8');
    const deadlineMs = Date.now() + 5000;
    while (isAlive(pid) && Date.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(isAlive(pid), false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** A zombie that nobody waits for is dead. */
function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
