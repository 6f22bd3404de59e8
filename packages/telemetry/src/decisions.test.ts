import assert from 'node:assert/strict';
import test from 'node:test';
import { ManualClock } from '@ambit/base/clock';
import { seededRng } from '@ambit/base/rng';
import { authorize, NONE_ALLOWED } from '@ambit/model/authorize';
import { type CallFacts, makeCall } from '@ambit/model/call';
import { explain } from '@ambit/model/explain';
import { parseIpAddress } from '@ambit/model/ip-address';
import type { Policy } from '@ambit/model/policy';
import { PolicySet } from '@ambit/model/policy-set';
import { DecisionStore, DenialExplainer, type KeptDecision } from './decisions.ts';
import { EXPLANATION_REUSE_MS, EXPLANATIONS_REUSED_MAX } from './limits.ts';
import { Counter } from './metric-series.ts';
import { AT_MS, WEB_IDENTITY } from './telemetry.fixture.ts';

const POLICY: Policy = {
  name: 'only-api',
  namespace: 'shop',
  scope: 'namespace',
  action: 'ALLOW',
  dryRun: false,
  rules: [{ clauses: [{ matches: [{ principals: [{ is: 'exact', value: 'cluster.local/ns/shop/sa/api' }] }] }] }],
};

function makeExplainer(perSecondMax = 1000) {
  const monotonicClock = new ManualClock(5000);
  const kept: KeptDecision[] = [];
  const unexplained = new Counter();
  const explainer = new DenialExplainer({
    rng: seededRng(1),
    wallClock: new ManualClock(AT_MS),
    monotonicClock,
    keep: (decision) => kept.push(decision),
    unexplained,
    perSecondMax,
  });
  let explained = 0;
  const deny = (facts: Partial<CallFacts> = {}, epoch = 1) => {
    const policies = PolicySet.of([POLICY]);
    const call = makeCall({
      source: WEB_IDENTITY,
      sourceIp: parseIpAddress('10.1.2.3')!,
      destinationIp: parseIpAddress('10.9.0.1')!,
      destinationPort: 8080,
      destination: { namespace: 'shop', authorizationPolicies: [] },
      ...facts,
    });
    return explainer.explain(authorize(policies, call, null), call, epoch, () => {
      explained += 1;
      return explain(policies, call);
    });
  };
  return { unexplained, kept, deny, monotonicClock, explained: () => explained };
}

function decision(id: string, chars = 10): KeptDecision {
  return { id, atMs: AT_MS, verdict: 'deny', by: '', short: '', long: 'x'.repeat(chars - id.length) };
}

test('a denial gets the reason of the model in short, and in full under an id', () => {
  const { deny, kept } = makeExplainer();
  const denial = deny();
  const short =
    'allow policies exist, but none allowed; nearest "shop/only-api" rules[0]: clauses[0].matches[0].principals wanted one of "cluster.local/ns/shop/sa/api", got "cluster.local/ns/shop/sa/web"';
  assert.equal(denial?.reason, short);
  assert.match(denial!.id!, /^[2-9b-z]{10}$/);
  assert.equal(kept.length, 1);
  const [{ long, ...rest }] = kept as [KeptDecision];
  assert.deepEqual(rest, {
    id: denial!.id,
    atMs: AT_MS,
    verdict: 'deny',
    by: NONE_ALLOWED,
    short,
  });
  assert.match(long, /^call: "cluster\.local\/ns\/shop\/sa\/web" at 10\.1\.2\.3, to 10\.9\.0\.1 port 8080/m);
});

test('the same call under the same policies gets the same id for a while; another call, and other policies, another', () => {
  const { deny, explained, monotonicClock } = makeExplainer();
  const first = deny();
  monotonicClock.advance(EXPLANATION_REUSE_MS - 1);
  assert.deepEqual(deny(), first);
  assert.equal(explained(), 1);
  const others = [
    deny({ destinationPort: 81 }),
    deny({ source: null }),
    deny({ sourceIp: parseIpAddress('10.1.2.4')! }),
    deny({ destinationIp: parseIpAddress('10.9.0.2')! }),
    deny({}, 2),
  ];
  monotonicClock.advance(EXPLANATION_REUSE_MS);
  others.push(deny({}, 2));
  assert.equal(new Set([first, ...others].map((denial) => denial!.id)).size, 7);
});

test('so many a second are explained; the rest is counted and goes without', () => {
  const { deny, unexplained, explained, monotonicClock } = makeExplainer(3);
  const ports = (from: number) => Array.from({ length: 5 }, (_, i) => deny({ destinationPort: from + i }) !== null);
  assert.deepEqual(ports(1), [true, true, true, false, false]);
  assert.deepEqual([explained(), unexplained.value], [3, 2]);
  // What was explained already costs nothing.
  assert.notEqual(deny({ destinationPort: 1 }), null);
  monotonicClock.advance(999);
  assert.equal(deny({ destinationPort: 20 }), null);
  monotonicClock.advance(1);
  assert.deepEqual(ports(30), [true, true, true, false, false]);
});

test('only the last explanations are remembered for reuse', () => {
  const { deny, explained } = makeExplainer();
  for (let port = 1; port <= EXPLANATIONS_REUSED_MAX + 1; port++) deny({ destinationPort: port });
  deny({ destinationPort: 2 });
  assert.equal(explained(), EXPLANATIONS_REUSED_MAX + 1);
  deny({ destinationPort: 1 });
  assert.equal(explained(), EXPLANATIONS_REUSED_MAX + 2);
});

test('the store keeps the newest, bounded in number and in characters', () => {
  const few = new DecisionStore({ keptMax: 3 });
  for (const id of ['a', 'b', 'c', 'd']) few.keep(decision(id));
  assert.deepEqual([few.get('a'), few.get('b')?.id, few.size, few.evicted], [null, 'b', 3, 1]);
  assert.deepEqual(
    few.newest(2).map(({ id }) => id),
    ['d', 'c'],
  );

  const small = new DecisionStore({ keptCharsMax: 100 });
  for (const id of ['a', 'b', 'c', 'd']) small.keep(decision(id, 40));
  assert.deepEqual(
    small.newest(10).map(({ id }) => id),
    ['d', 'c'],
  );
  small.keep(decision('huge', 101));
  assert.equal(small.size, 0);
  small.keep(decision('e', 100));
  assert.equal(small.get('e')?.id, 'e');
});
