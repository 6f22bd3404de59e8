/** Every case of h2spec, the strict ones too, against our HTTP/2 behind a plain TCP listener. No exceptions. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { listenForH2spec } from '@ambit/testkit/h2spec-server';

const CASES = 146;
const RUN_TIMEOUT_MS = 300_000;
/** How long h2spec waits for an answer; its own two seconds are too few on a machine that runs other suites meanwhile. */
const ANSWER_TIMEOUT_S = '10';

test('h2spec finds no fault', async () => {
  const binary = process.env.H2SPEC_BIN ?? join(import.meta.dirname, '..', '.cache', 'bin', 'h2spec');
  assert.ok(existsSync(binary), `${binary} is missing: run tools/install-h2spec.ts, or set H2SPEC_BIN`);
  const folder = await mkdtemp(join(tmpdir(), 'h2spec-'));
  const server = await listenForH2spec();
  try {
    const report = join(folder, 'report.xml');
    await run(binary, [
      '--strict',
      '--timeout',
      ANSWER_TIMEOUT_S,
      '--port',
      String((server.address() as AddressInfo).port),
      '--junit-report',
      report,
    ]);
    const cases = [...(await readFile(report, 'utf8')).matchAll(TESTCASE)];
    const failed = cases.filter(([, , , body]) => body);
    assert.deepEqual(
      failed.map(([, section, title]) => `${section}: ${title}`),
      [],
    );
    assert.equal(cases.length, CASES);
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
});

/** Section, title, and what is inside: nothing where the case passed. */
const TESTCASE = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/** Resolves whatever its exit status: the report says what failed. */
function run(binary: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(binary, args, { timeout: RUN_TIMEOUT_MS }, (error) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve();
    });
  });
}
