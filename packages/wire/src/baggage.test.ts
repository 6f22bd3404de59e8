import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fuzz } from '../corpora/corpus.ts';
import { type Baggage, formatBaggage, parseBaggage } from './baggage.ts';

const EMPTY: Baggage = {
  cluster: '',
  namespace: '',
  workloadType: 'pod',
  workloadName: '',
  service: '',
  revision: '',
  region: '',
  zone: '',
};

const FULL: Baggage = {
  cluster: 'Kubernetes',
  namespace: 'shop',
  workloadType: 'deployment',
  workloadName: 'web-7f',
  service: 'web',
  revision: 'v1',
  region: 'r1',
  zone: 'z1',
};

const FULL_TEXT =
  'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=web-7f,service.name=web,service.version=v1,' +
  'cloud.region=r1,cloud.availability_zone=z1';

test('what is written is what Istio writes: in its order, and only what is present', () => {
  assert.equal(formatBaggage(FULL), FULL_TEXT);
  assert.equal(formatBaggage(EMPTY), '');
  assert.equal(formatBaggage({ ...EMPTY, service: 'web', workloadName: 'w' }), 'k8s.pod.name=w,service.name=web');
});

test('a value that would forge another member is left out', () => {
  for (const service of ['a,k8s.namespace.name=admin', 'a;b', 'a b', 'a\r\nb', 'ä']) {
    assert.equal(formatBaggage({ ...EMPTY, service, region: 'r' }), 'cloud.region=r', JSON.stringify(service));
  }
});

test('any text is read tolerantly', () => {
  const cases: Record<string, Partial<Baggage>> = {
    [FULL_TEXT]: FULL,
    ' service.name = web ,  cloud.region=r ': { service: 'web', region: 'r' },
    'k8s.cronjob.name=c': { workloadType: 'cronjob', workloadName: 'c' },
    'k8s.job.name=j': { workloadType: 'job', workloadName: 'j' },
    'service.name=': {},
    'service.name=a,service.name=b,service.name=': { service: 'b' },
    'service.name=a=b': { service: 'a=b' },
    'service.name': {},
    '=,==,,=a': {},
    'SERVICE.NAME=a,unknown=b,__proto__=c,constructor=d': {},
    'service.name=%41': { service: '%41' },
    '': {},
  };
  for (const [text, expected] of Object.entries(cases))
    assert.deepEqual(parseBaggage(text), { ...EMPTY, ...expected }, text);
});

test('members after the limit are not read, and a header above its limit is absent', () => {
  assert.equal(parseBaggage(`${'a=b,'.repeat(63)}service.name=web`).service, 'web');
  assert.equal(parseBaggage(`${'a=b,'.repeat(64)}service.name=web`).service, '');
  assert.equal(parseBaggage(`service.name=${'a'.repeat(8179)}`).service.length, 8179);
  assert.equal(parseBaggage(`service.name=${'a'.repeat(8180)}`).service, '');
});

test('what is written is read back', () => {
  const value = fc.stringMatching(/^[A-Za-z0-9._=%/-]{0,30}$/);
  const baggage = fc.record({
    cluster: value,
    namespace: value,
    workloadType: fc.constantFrom('deployment' as const, 'cronjob' as const, 'pod' as const, 'job' as const),
    workloadName: value.filter((name) => name !== ''),
    service: value,
    revision: value,
    region: value,
    zone: value,
  });
  fc.assert(fc.property(baggage, (one) => assert.deepEqual(parseBaggage(formatBaggage(one)), { ...one })));
});

test('whatever arrives, no value holds a comma', () => {
  fuzz([FULL_TEXT, 'service.name=a,=,b', 'k8s.pod.name==,,'].map(Buffer.from), (bytes) => {
    const baggage = parseBaggage(Buffer.from(bytes).toString('latin1'));
    for (const value of Object.values(baggage)) assert.ok(!value.includes(','));
  });
});
