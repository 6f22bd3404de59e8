import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { parseCidr } from './ip-address.ts';
import { cidrVip, ip, meshOf, service, vip, workload } from './mesh-index.fixture.ts';
import { bestService, bestServiceByVip, findAddress, findHostname } from './mesh-index.ts';

describe('of services with one address', () => {
  const own = service('own', { namespace: 'shop' });
  const canonical = service('canonical', { namespace: 'eu', canonical: true });
  const first = service('first', { namespace: 'asia' });
  const hidden = service('hidden', { namespace: 'us', canonical: true, visibility: 'namespace' });
  const cases: [string, (typeof own)[], string | null, string | null][] = [
    ['that of the own namespace is taken', [first, canonical, own], 'shop', 'own'],
    ['else the canonical one', [first, canonical], 'shop', 'canonical'],
    ['else the first', [first, service('second')], 'none', 'first'],
    ['one that is not visible is passed over', [hidden, first], 'shop', 'first'],
    ['none, when none is visible', [hidden], 'shop', null],
    ['it is visible in its own namespace', [first, hidden], 'us', 'hidden'],
    ['everything is visible to nobody in particular', [first, hidden], null, 'hidden'],
  ];
  for (const [name, candidates, namespace, expected] of cases) {
    test(name, () => assert.equal(bestService(candidates, namespace)?.name ?? null, expected));
  }
});

describe('of services with a block around the address', () => {
  const blockOf = (name: string, block: string, given = {}) =>
    service(name, { namespace: 'eu', cidrVips: [cidrVip(parseCidr(block)!)], ...given });
  const best = (...services: ReturnType<typeof service>[]) =>
    bestServiceByVip(meshOf([], services), '', ip('10.1.2.3'), 'shop')?.name ?? null;

  test('the longest prefix is taken', () =>
    assert.equal(best(blockOf('8', '10.0.0.0/8'), blockOf('16', '10.1.0.0/16')), '16'));
  test('but before it the own namespace', () => {
    assert.equal(best(blockOf('16', '10.1.0.0/16'), blockOf('own', '10.0.0.0/8', { namespace: 'shop' })), 'own');
  });
  test('after it the canonical one, then the first', () => {
    assert.equal(best(blockOf('1', '10.0.0.0/8'), blockOf('2', '10.0.0.0/8', { canonical: true })), '2');
    assert.equal(best(blockOf('1', '10.0.0.0/8'), blockOf('2', '10.0.0.0/8')), '1');
  });
  test('an address is before every block, unless it is not visible', () => {
    const exact = service('exact', { namespace: 'us', vips: [vip('10.1.2.3')] });
    assert.equal(best(blockOf('32', '10.1.2.3/32', { namespace: 'shop' }), exact), 'exact');
    assert.equal(best(blockOf('8', '10.0.0.0/8'), { ...exact, visibility: 'namespace' }), '8');
  });
  test('a block of another network, another family or not visible is none', () => {
    assert.equal(best(service('far', { cidrVips: [cidrVip(parseCidr('10.0.0.0/8')!, 'far')] })), null);
    assert.equal(best(blockOf('v6', '::/0')), null);
    assert.equal(best(blockOf('hidden', '10.0.0.0/8', { visibility: 'namespace' })), null);
  });
});

test('an address is first a workload of the network, then a service; a name first a service', () => {
  const pod = workload('pod', { addresses: [ip('10.0.0.1')], hostname: 'both.shop' });
  const hostPod = workload('host', { addresses: [ip('10.0.0.2')], isHostNetwork: true });
  const both = service('both', { vips: [vip('10.0.0.1'), vip('10.0.0.2'), vip('10.0.0.1', 'far')] });
  const mesh = meshOf([pod, hostPod], [both]);
  assert.equal(findAddress(mesh, '', ip('10.0.0.1'), 'shop')?.is, 'workload');
  assert.equal(findAddress(mesh, '', ip('10.0.0.2'), 'shop')?.is, 'service');
  assert.equal(findAddress(mesh, 'far', ip('10.0.0.1'), 'shop')?.is, 'service');
  assert.equal(findAddress(mesh, '', ip('10.0.0.3'), 'shop'), null);
  assert.equal(findHostname(mesh, { namespace: 'shop', hostname: 'both.shop' })?.is, 'service');
  assert.equal(findHostname(meshOf([pod], []), { namespace: 'shop', hostname: 'both.shop' })?.is, 'workload');
  assert.equal(findHostname(mesh, { namespace: 'eu', hostname: 'both.shop' }), null);
});
