import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { seededRng } from '@ambit/base/rng';
import { chooseEndpoint, chooseWeighted, type ResolutionMode, rankOf } from './choose-endpoint.ts';
import { byAddress, ip, meshOf, ports, service, workload } from './mesh-index.fixture.ts';
import type { LoadBalancing, Service } from './service.ts';
import type { Workload } from './workload.ts';

const SOURCE = workload('source', { locality: { region: 'r', zone: 'z', subzone: 's' }, network: 'net' });

describe('the rank of a workload', () => {
  const here = (given: Partial<Workload>) => workload('w', { network: 'net', locality: SOURCE.locality, ...given });
  const far = { network: 'far' };
  const otherZone = { locality: { region: 'r', zone: 'y', subzone: '' } };
  const otherRegion = { locality: { region: 'q', zone: 'z', subzone: '' } };
  const networkFirst: LoadBalancing['routingPreference'] = ['network', 'region', 'zone'];
  const regional: LoadBalancing['routingPreference'] = ['region', 'zone'];
  const cases: [string, LoadBalancing['routingPreference'], Partial<Workload>, number][] = [
    ['network, region, zone', networkFirst, {}, 5],
    ['network and region', networkFirst, otherZone, 4],
    ['network only', networkFirst, otherRegion, 3],
    ['region and zone on another network', networkFirst, far, 2],
    ['region only on another network', networkFirst, { ...far, ...otherZone }, 1],
    ['nothing', networkFirst, { ...far, ...otherRegion }, 0],
    ['both', regional, {}, 2],
    ['region', regional, otherZone, 1],
    ['the zone alone', regional, otherRegion, 0],
    ['network in a later place ends the count as any other', ['region', 'network', 'zone'], far, 1],
    ['node, cluster and subzone', ['node', 'cluster', 'subzone'], {}, 3],
    ['another node', ['node', 'cluster'], { node: 'n2' }, 0],
    ['another cluster', ['node', 'cluster'], { clusterId: 'd' }, 1],
  ];
  for (const [name, routingPreference, given, expected] of cases) {
    test(`${name}: ${expected}`, () => {
      assert.equal(
        rankOf(SOURCE, here(given), { routingPreference, mode: 'failover', allowsUnhealthy: false }),
        expected,
      );
    });
  }

  test('STRICT asks for every scope, before the network counts more', () => {
    const strict: LoadBalancing = { routingPreference: networkFirst, mode: 'strict', allowsUnhealthy: false };
    assert.equal(rankOf(SOURCE, here({}), strict), 5);
    assert.equal(rankOf(SOURCE, here(otherZone), strict), null);
    assert.equal(rankOf(SOURCE, here(far), strict), null);
  });
});

describe('an endpoint', () => {
  const choose = (of: Service, endpoint: Partial<Workload>, mode: ResolutionMode = 'standard', port = 80) => {
    const one = workload('w', {
      addresses: [ip('10.0.0.1')],
      services: new Map([['shop/svc.shop', ports()]]),
      ...endpoint,
    });
    return chooseEndpoint(meshOf([one], [of]), SOURCE, of, port, mode, seededRng(1))?.port ?? null;
  };
  const svc = service('svc');
  const noTarget = service('svc', { ports: ports([80, 0]) });
  const own = { services: new Map([['shop/svc.shop', ports([80, 9090])]]) };
  const tunnel = { applicationTunnel: { protocol: 'proxy', port: 15_088 } } as const;
  const bare = { addresses: [] };
  const gateway = { networkGateway: byAddress('10.9.9.9') };
  const cases: [string, Service, Partial<Workload>, ResolutionMode, number | null][] = [
    ['is called on its own port', svc, own, 'standard', 9090],
    ['else on the port of the service', svc, {}, 'standard', 8080],
    ['is not called when nobody says the port', noTarget, {}, 'standard', null],
    ['is not called, either, by its tunnel alone', noTarget, tunnel, 'standard', null],
    ['says the port where the service does not', noTarget, own, 'standard', 9090],
    ['of a waypoint may have the port by its tunnel', service('svc', { ports: ports() }), tunnel, 'waypoint', 80],
    ['of a waypoint without a tunnel may not', service('svc', { ports: ports() }), {}, 'waypoint', null],
    ['of a waypoint has the port of the service', svc, {}, 'waypoint', 8080],
    [
      'of a port that the service lacks is none, tunnel or not',
      service('svc', { ports: ports() }),
      { ...own, ...tunnel },
      'standard',
      null,
    ],
    ['without an address is none', svc, bare, 'standard', null],
    ['with a hostname will do', svc, { ...bare, hostname: 'h' }, 'standard', 8080],
    ['on another network may be behind a gateway', svc, { ...bare, ...gateway }, 'standard', 8080],
    ['on the same network may not', svc, { ...bare, ...gateway, network: 'net' }, 'standard', null],
    ['that is unhealthy is none', svc, { isHealthy: false }, 'standard', null],
    ['without capacity is none', svc, { capacity: 0 }, 'standard', null],
  ];
  for (const [name, of, endpoint, mode, expected] of cases) {
    test(name, () => assert.equal(choose(of, endpoint, mode), expected));
  }
});

test('only those of the highest rank are chosen, and with STRICT none if none fits', () => {
  const services = new Map([['shop/svc.shop', ports()]]);
  const near = workload('near', { addresses: [ip('10.0.0.1')], services, locality: SOURCE.locality });
  const far = workload('far', { addresses: [ip('10.0.0.2')], services });
  const choices = (workloads: readonly Workload[], mode: LoadBalancing['mode']) => {
    const svc = service('svc', { loadBalancing: { routingPreference: ['region'], mode, allowsUnhealthy: false } });
    const rng = seededRng(5);
    const names = Array.from({ length: 50 }, () =>
      chooseEndpoint(meshOf(workloads, [svc]), SOURCE, svc, 80, 'standard', rng),
    );
    return [...new Set(names.map((chosen) => chosen?.workload.name ?? 'none'))].toSorted();
  };
  assert.deepEqual(choices([near, far], 'standard'), ['far', 'near']);
  assert.deepEqual(choices([near, far], 'failover'), ['near']);
  assert.deepEqual(choices([far], 'failover'), ['far']);
  assert.deepEqual(choices([far], 'strict'), ['none']);
});

test('chance follows the weights, and a weight of zero is never taken', () => {
  const rng = seededRng(3);
  const counts = { a: 0, b: 0, c: 0 };
  for (let i = 0; i < 4000; i += 1)
    counts[chooseWeighted(['a', 'b', 'c'] as const, (name) => ({ a: 3, b: 0, c: 1 })[name], rng)!] += 1;
  assert.equal(counts.b, 0);
  assert.ok(counts.a > 2850 && counts.a < 3150, `${counts.a}`);
  assert.equal(
    chooseWeighted(['a'], () => 0, rng),
    null,
  );
  assert.equal(
    chooseWeighted([], () => 1, rng),
    null,
  );
});
