import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { ANY_ADDRESSES, generateRbacWorld } from '@ambit/testkit/rbac-pairs';
import { authorize, NONE_ALLOWED } from './authorize.ts';
import { policyMatches } from './authorize-naive.fixture.ts';
import { type Call, type CallFacts, makeCall } from './call.ts';
import { type Explanation, explain } from './explain.ts';
import { formatExplanation } from './explain-format.ts';
import { parseCidr, parseIpAddress } from './ip-address.ts';
import { EXPLAINED_POLICIES_MAX, PRINTED_VALUE_MAX_CHARS, PRINTED_VALUES_MAX } from './limits.ts';
import type { Policy, PolicyMatch, PolicyRule } from './policy.ts';
import { PolicySet } from './policy-set.ts';

const WEB = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };

function explainCall(policies: readonly Policy[], facts: Partial<CallFacts> = {}): Explanation {
  const call = makeCall({
    source: WEB,
    sourceIp: parseIpAddress('10.1.2.3')!,
    destinationIp: parseIpAddress('10.9.0.1')!,
    destinationPort: 8080,
    destination: { namespace: 'shop', authorizationPolicies: [] },
    ...facts,
  });
  return explain(PolicySet.of(policies), call);
}

function policy(name: string, action: Policy['action'], ...rules: PolicyRule[]): Policy {
  return { name, namespace: 'shop', scope: 'namespace', action, dryRun: false, rules };
}

/** One clause for each list of matches. */
const rule = (...clauses: PolicyMatch[][]): PolicyRule => ({ clauses: clauses.map((matches) => ({ matches })) });
const fromApi: PolicyMatch = { principals: [{ is: 'exact', value: 'cluster.local/ns/shop/sa/api' }] };
const fromWeb: PolicyMatch = { principals: [{ is: 'exact', value: 'cluster.local/ns/shop/sa/web' }] };
const port = (...destinationPorts: number[]): PolicyMatch => ({ destinationPorts });

describe('a DENY that matched', () => {
  test('is told with its rule and the conditions that held', () => {
    const explanation = explainCall([
      policy('allow', 'ALLOW', rule()),
      policy('deny', 'DENY', rule([port(1)]), rule([port(2), port(8080)], [{ notPrincipals: fromApi.principals! }])),
    ]);
    assert.deepEqual(explanation.tried, [{ policy: 'shop/deny', action: 'DENY', dryRun: false, matched: true }]);
    assert.equal(explanation.nearest, null);
    const { deciding } = explanation;
    assert.deepEqual([deciding?.policy, deciding?.rule, deciding?.failing], ['shop/deny', 1, []]);
    assert.deepEqual(
      deciding?.holding.map(({ clause, match, field, got }) => [clause, match, field, got]),
      [
        [0, 1, 'destination_ports', '8080'],
        [1, 0, 'not_principals', 'cluster.local/ns/shop/sa/web'],
      ],
    );
    assert.equal(
      formatExplanation(explanation).short,
      'explicitly denied by: shop/deny rules[1]: clauses[0].matches[1].destination_ports wanted one of "8080", got "8080"',
    );
  });

  test('says so when it asks for nothing', () => {
    const { short, long } = formatExplanation(explainCall([policy('deny', 'DENY', rule())]));
    assert.equal(short, 'explicitly denied by: shop/deny rules[0]');
    assert.match(long, /it asks for nothing and matches every call/);
  });

  test('names plaintext where an identity is missing', () => {
    const strict = policy('strict', 'DENY', rule([{ notPrincipals: [{ is: 'presence' }] }]));
    const { short, long } = formatExplanation(explainCall([strict], { source: null }));
    assert.match(short, /not_principals wanted none of "\*", got nothing$/);
    assert.match(
      long,
      /^call: no identity \(plaintext\) at 10\.1\.2\.3, to 10\.9\.0\.1 port 8080 in namespace "shop"$/m,
    );
  });
});

describe('the nearest rule', () => {
  const nearestOf = (...rules: PolicyRule[]) => {
    const { nearest } = explainCall([policy('allow', 'ALLOW', ...rules)]);
    assert.ok(nearest !== null);
    return [nearest.rule, nearest.failingCount, ...nearest.failing.map(({ field }) => field)];
  };
  const two = { ...fromApi, ...port(1) };
  const three = { ...two, sourceIps: [parseCidr('10.2.0.0/16')!] };
  const cases: [string, PolicyRule[], unknown[]][] = [
    [
      'is the one with the fewest conditions that fail',
      [rule([three]), rule([two]), rule([fromApi])],
      [2, 1, 'principals'],
    ],
    ['is the first of those', [rule([two]), rule([port(1)]), rule([fromApi])], [1, 1, 'destination_ports']],
    [
      'adds up its clauses',
      [rule([fromApi], [port(1)], [fromWeb]), rule([three])],
      [0, 2, 'principals', 'destination_ports'],
    ],
    ['counts the best match of a clause', [rule([two, port(1)])], [0, 1, 'destination_ports']],
    ['counts a clause of nothing enforceable as one', [rule([two]), rule([{}])], [1, 1, 'nothing_enforceable_at_l4']],
  ];
  for (const [name, rules, expected] of cases) test(name, () => assert.deepEqual(nearestOf(...rules), expected));

  test('is looked for in all policies, but not in those without effect', () => {
    const dry = { ...policy('a-dry', 'ALLOW', rule([fromApi])), dryRun: true };
    const { nearest, tried } = explainCall([
      dry,
      policy('b', 'ALLOW', rule([three])),
      policy('c', 'ALLOW', rule([two])),
    ]);
    assert.deepEqual([nearest?.policy, nearest?.failingCount], ['shop/c', 2]);
    assert.deepEqual(
      tried.map((outcome) => `${outcome.policy} ${outcome.dryRun}`),
      ['shop/a-dry true', 'shop/b false', 'shop/c false'],
    );
  });

  test('is none when no policy has a rule', () => {
    const explanation = explainCall([policy('a', 'ALLOW')]);
    assert.equal(explanation.nearest, null);
    assert.equal(formatExplanation(explanation).short, 'allow policies exist, but none allowed');
  });

  test('says in words what to change', () => {
    const { short, long } = formatExplanation(
      explainCall([policy('allow', 'ALLOW', rule([{ ...two, sourceIps: [parseCidr('10.1.0.0/16')!] }]))]),
    );
    assert.equal(
      short,
      'allow policies exist, but none allowed; nearest "shop/allow" rules[0]: ' +
        'clauses[0].matches[0].destination_ports wanted one of "1", got "8080" and 1 more',
    );
    assert.equal(
      long,
      [
        'allow policies exist, but none allowed',
        'call: "cluster.local/ns/shop/sa/web" at 10.1.2.3, to 10.9.0.1 port 8080 in namespace "shop"',
        'nearest: "shop/allow" rules[0], conditions that failed: 2',
        '  failed: clauses[0].matches[0].destination_ports wanted one of "1", got "8080"',
        '  failed: clauses[0].matches[0].principals wanted one of "cluster.local/ns/shop/sa/api", got "cluster.local/ns/shop/sa/web"',
        '  held:   clauses[0].matches[0].source_ips wanted one of "10.1.0.0/16", got "10.1.2.3"',
        'policies tried: 1',
        '  ALLOW "shop/allow": did not match',
      ].join('\n'),
    );
  });
});

test('policies that are not known are named', () => {
  const destination = { namespace: 'shop', authorizationPolicies: ['shop/late', 'shop/p', 'shop/later'] };
  const explanation = explainCall([policy('p', 'ALLOW', rule())], { destination });
  assert.deepEqual(explanation.unknown, ['shop/late', 'shop/later']);
  assert.equal(formatExplanation(explanation).short, 'policy not known yet: "shop/late", "shop/later"');
});

test('many policies are counted, not listed, and names cannot break a line or grow without bound', () => {
  const many = Array.from({ length: EXPLAINED_POLICIES_MAX + 5 }, (_, index) => policy(`p${index}`, 'DENY'));
  const values = Array.from(
    { length: PRINTED_VALUES_MAX + 2 },
    (_, index) => ({ is: 'exact', value: `v${index}` }) as const,
  );
  const serviceAccount = `"\n\u2028${'x'.repeat(10_000)}`;
  const evil = policy('x"\n\u0085', 'ALLOW', rule([{ principals: values }]));
  const explanation = explainCall([...many, evil], { source: { ...WEB, serviceAccount } });
  assert.equal(explanation.triedCount, EXPLAINED_POLICIES_MAX + 6);
  assert.equal(explanation.tried.length, EXPLAINED_POLICIES_MAX);
  const { short, long } = formatExplanation(explanation);
  assert.match(long, /\n {2}and 6 more$/);
  assert.match(
    short,
    /nearest "shop\/x\\"\\n\\u0085" .* "v4" and 2 more, got "cluster.local\/ns\/shop\/sa\/\\"\\n\\u2028x+\.\.\."$/,
  );
  assert.ok(short.length < 3 * PRINTED_VALUE_MAX_CHARS);
});

test('an explanation agrees with the decision, and no rule is nearer than the nearest', () => {
  let weighed = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const world = generateRbacWorld(seed, ANY_ADDRESSES);
    const policies = PolicySet.of(world.policies);
    for (const call of world.calls) {
      const { decision, deciding, nearest } = explain(policies, call, 'skip');
      assert.equal(decision, authorize(policies, call, null, 'skip'));
      if (deciding !== null) assert.deepEqual([deciding.policy, deciding.failingCount], [decision.by, 0]);
      if (decision.by !== NONE_ALLOWED) continue;
      const distances = world.policies
        .filter((policy) => policy.action === 'ALLOW' && !policy.dryRun && appliesTo(policy, call))
        .flatMap(({ rules }) => rules.map((one) => distanceOf(one, call)));
      assert.equal(nearest?.failingCount, distances.length === 0 ? undefined : Math.min(...distances));
      weighed += 1;
    }
  }
  assert.ok(weighed > 300, `${weighed}`);
});

function appliesTo({ scope, namespace, name }: Policy, { destination }: Call): boolean {
  const isNear = scope === 'global' || (scope === 'namespace' && namespace === destination.namespace);
  return isNear || destination.authorizationPolicies.includes(`${namespace}/${name}`);
}

/** Conditions that fail, asked one by one of the naive evaluator. */
function distanceOf({ clauses }: PolicyRule, call: Call): number {
  const distances = clauses.map(({ matches }) => {
    const failing = matches
      .map((match) => Object.entries(match).filter(([, values]) => values.length > 0))
      .filter((fields) => fields.length > 0)
      .map((fields) => fields.filter(([field, values]) => !fieldHolds({ [field]: values }, call)).length);
    // A clause of matches that ask for nothing never holds.
    return matches.length === 0 ? 0 : Math.min(...(failing.length === 0 ? [1] : failing));
  });
  return distances.reduce((sum, distance) => sum + distance, 0);
}

function fieldHolds(match: PolicyMatch, call: Call): boolean {
  return policyMatches(policy('one', 'ALLOW', rule([match])), call);
}
