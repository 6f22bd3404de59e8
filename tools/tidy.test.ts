/** Holds the shape of the repository true (ARCHITECTURE.md). Each rule is tested on a small tree in tools/tidy/. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadProject } from './tidy/project.ts';
import { RULES } from './tidy/rules.ts';
import { readTree } from './tidy/tree.ts';

const project = loadProject(readTree(fileURLToPath(new URL('..', import.meta.url))));

test('the whole repository is read', () => {
  for (const path of ['packages/base/src/ring.ts', 'tools/tidy.test.ts', 'scripts/bootstrap.mjs']) {
    assert.ok(project.sources.some((source) => source.path === path));
  }
  assert.ok(project.workspaces.some(({ exports }) => exports.has('@ambit/base/ring')));
});

for (const rule of RULES) {
  test(rule.name, () => {
    const findings = rule.check(project).map(({ path, line, message }) => `${path}:${line} ${message}`);
    assert.equal(findings.join('\n'), '');
  });
}
