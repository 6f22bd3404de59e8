import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { comparePairs, type Evaluator } from './authorize-pairs.fixture.ts';
import { Cidr } from './ip-address.ts';
import type { Policy } from './policy.ts';

/** What the evaluator is made of; a mutant is a copy with one place changed. */
const FILES = ['authorize.ts', 'condition.ts', 'policy-set.ts', 'policy.ts', 'ip-address.ts', 'limits.ts'];

const MUTANTS: readonly (readonly [name: string, file: string, from: string, to: string])[] = [
  [
    'ALLOW before DENY',
    'authorize.ts',
    'if (denying !== null) return',
    'if (denying !== null && namesAllow(policies, call)) return',
  ],
  ['global policies forgotten for DENY', 'authorize.ts', 'firstMatch(global.deny, call, recorder) ??', ''],
  ['named policies do not turn on the default of denying', 'authorize.ts', ' || namesAllow(policies, call);', ';'],
  ['named policies of another action', 'authorize.ts', 'candidate.policy.action !== action || ', ''],
  ['dry-run policies in force when named', 'authorize.ts', ' || candidate.policy.dryRun) continue', ') continue'],
  [
    'one clause is enough',
    'authorize.ts',
    'if (recorder === null) return false;\n    matched = false;',
    'matched = i > 0;',
  ],
  ['an empty clause is false', 'authorize.ts', 'return clause.isEmpty;', 'return false;'],
  ['an empty match is true', 'policy-set.ts', '.filter(({ conditions }) => conditions.length > 0)', ''],
  [
    'presence matches plaintext',
    'condition.ts',
    'call.principal !== null && anyString(this.#strings, call.principal)',
    "anyString(this.#strings, call.principal ?? 'none')",
  ],
  ['negation forgotten', 'condition.ts', '!== this.isNegative', '!== false'],
  [
    'namespace of plaintext never matches',
    'condition.ts',
    "anyString(this.#strings, call.source === null ? '' : call.source.namespace)",
    'call.source !== null && anyString(this.#strings, call.source.namespace)',
  ],
  ['a suffix found anywhere', 'condition.ts', 'text.endsWith(this.value)', 'text.includes(this.value)'],
  ['service accounts of any namespace', 'condition.ts', 'account.namespace === source.namespace && ', ''],
  [
    'source for destination address',
    'condition.ts',
    'anyBlock(this.#blocks, call.destinationIp)',
    'anyBlock(this.#blocks, call.sourceIp)',
  ],
  ['a prefix of 32 bits as none', 'ip-address.ts', 'return bits >= 32 ? -1', 'return bits >= 32 ? 0'],
  ['families not told apart', 'ip-address.ts', 'ip.isIpv6 === address.isIpv6 &&', ''],
];

/** Below the repository, so that packages are found. */
const cache = fileURLToPath(new URL('../../../.cache/', import.meta.url));

describe('every mutant of the evaluator is caught by generated pairs', () => {
  let directory = '';
  before(() => {
    mkdirSync(cache, { recursive: true });
    directory = mkdtempSync(join(cache, 'mutants-'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test('the copy without a change is not caught', async () => {
    const evaluator = await load(join(directory, 'none'), '', (source) => source);
    assert.deepEqual(comparePairs(evaluator, 1, 1000).differences, []);
  });

  for (const [index, [name, file, from, to]] of MUTANTS.entries()) {
    test(name, async () => {
      const evaluator = await load(join(directory, String(index)), file, (source) => {
        assert.equal(source.split(from).length, 2, `"${from}" stands once in ${file}`);
        return source.replace(from, () => to);
      });
      const { differences, pairs } = comparePairs(evaluator, 1, 20_000);
      assert.notEqual(differences.length, 0, `not caught in ${pairs} pairs`);
    });
  }
});

async function load(directory: string, changed: string, change: (source: string) => string): Promise<Evaluator> {
  mkdirSync(directory);
  for (const file of FILES) {
    const source = readFileSync(new URL(file, import.meta.url), 'utf8');
    writeFileSync(join(directory, file), file === changed ? change(source) : source);
  }
  const importCopy = (file: string) => import(pathToFileURL(join(directory, file)).href);
  const { authorize } = (await importCopy('authorize.ts')) as typeof import('./authorize.ts');
  const { PolicySet } = (await importCopy('policy-set.ts')) as typeof import('./policy-set.ts');
  const copy = (await importCopy('ip-address.ts')) as typeof import('./ip-address.ts');
  const policySetOf: Evaluator['policySetOf'] = (policies) =>
    PolicySet.of(policies.map((policy) => reviveCidrs(policy, copy.Cidr)));
  return { authorize, policySetOf };
}

/** The generator makes blocks of the original class. */
function reviveCidrs(policy: Policy, Copy: typeof Cidr): Policy {
  const revive = (value: unknown): unknown => {
    if (value instanceof Cidr) return new Copy(value.address, value.prefixBits);
    if (Array.isArray(value)) return value.map(revive);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
  };
  return revive(policy) as Policy;
}
