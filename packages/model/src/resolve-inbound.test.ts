import assert from 'node:assert/strict';
import test from 'node:test';
import { byAddress, byName, ip, meshOf, ports, service, vip, workload } from './mesh-index.fixture.ts';
import { type InboundAuthority, resolveInbound } from './resolve-inbound.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

const OWN_PORTS = [15_001, 15_006, 15_008];
const LOCAL = '10.0.0.1';

const toIp = (text: string, port: number): InboundAuthority => ({ is: 'ip', ip: ip(text), port });
const toHost = (host: string, port: number): InboundAuthority => ({ is: 'host', host, port });

function ask(own: Workload, authority: InboundAuthority, workloads: Workload[] = [], services: Service[] = []) {
  const request = { workload: own, network: '', localIp: ip(LOCAL), authority, ownPorts: OWN_PORTS };
  return resolveInbound(meshOf([own, ...workloads], services), request);
}

const plain = workload('web', { addresses: [ip(LOCAL)] });

test('an address of the workload itself is forwarded at the port that was asked for', () => {
  assert.deepEqual(ask(plain, toIp(LOCAL, 80)), { is: 'forward', port: 80, service: null, proxyProtocol: false });
});

test('an address of somebody else is refused with both addresses named', () => {
  const refusal = { is: 'refuse', status: 400, reason: 'ip mismatch: 10.0.0.1 != 10.0.0.2' };
  assert.deepEqual(ask(plain, toIp('10.0.0.2', 80)), refusal);
  assert.deepEqual(ask(plain, toIp('10.0.0.2', 80), [workload('other', { addresses: [ip('10.0.0.2')] })]), refusal);
});

test('a waypoint may be asked for what it stands before, by address and by name', () => {
  const waypoint = workload('waypoint', {
    addresses: [ip(LOCAL)],
    services: new Map([['shop/waypoint.shop', ports([15_008, 15_008])]]),
  });
  const gateway = service('waypoint', { hostname: 'waypoint.shop', vips: [vip('10.1.0.9')] });
  for (const reference of [byAddress(LOCAL), byName('waypoint.shop')]) {
    const guardedPod = workload('cart', { addresses: [ip('10.0.0.7')], waypoint: reference });
    const guardedService = service('cart', { vips: [vip('10.1.0.7')], waypoint: reference });
    assert.equal(ask(waypoint, toIp('10.0.0.7', 80), [guardedPod], [gateway]).is, 'forward');
    assert.equal(ask(waypoint, toIp('10.1.0.7', 80), [], [gateway, guardedService]).is, 'forward');
  }
  const elsewhere = service('cart', { vips: [vip('10.1.0.7')], waypoint: byAddress('10.0.0.99') });
  assert.equal(ask(waypoint, toIp('10.1.0.7', 80), [], [elsewhere]).is, 'refuse');
});

test('a name means the port that the workload gives the service, else the one that the service has', () => {
  const services = [service('web', { hostname: 'web.shop', ports: ports([80, 8080], [81, 8081], [82, 0]) })];
  const own = workload('web', {
    addresses: [ip(LOCAL)],
    services: new Map([['shop/web.shop', ports([80, 9090])]]),
  });
  const expected = { is: 'forward', service: services[0], proxyProtocol: false };
  assert.deepEqual(ask(own, toHost('web.shop', 80), [], services), { ...expected, port: 9090 });
  assert.deepEqual(ask(own, toHost('web.shop', 81), [], services), { ...expected, port: 8081 });
  for (const port of [82, 83]) {
    assert.deepEqual(ask(own, toHost('web.shop', port), [], services), {
      is: 'refuse',
      status: 503,
      reason: `requested service web.shop:${port} found, but cannot resolve port`,
    });
  }
});

test('of services with one name the own namespace wins, and hidden ones are not seen', () => {
  const near = service('web', { hostname: 'web.x', namespace: 'shop', ports: ports([80, 1]) });
  const far = service('web', { hostname: 'web.x', namespace: 'away', ports: ports([80, 2]), canonical: true });
  const hidden = service('web', {
    hostname: 'web.y',
    namespace: 'away',
    ports: ports([80, 3]),
    visibility: 'namespace',
  });
  const own = workload('web', { addresses: [ip(LOCAL)], namespace: 'shop' });
  assert.deepEqual((ask(own, toHost('web.x', 80), [], [far, near]) as { port: number }).port, 1);
  assert.deepEqual(ask(own, toHost('web.y', 80), [], [hidden]), {
    is: 'refuse',
    status: 503,
    reason: 'no service or workload for hostname: web.y',
  });
});

test('nobody is forwarded to the proxy itself, also where a service maps there', () => {
  for (const port of OWN_PORTS) {
    const refusal = { is: 'refuse', status: 503, reason: 'attempted recursive call to ourselves' };
    assert.deepEqual(ask(plain, toIp(LOCAL, port)), refusal);
    const mapped = service('web', { hostname: 'web.shop', ports: ports([80, port]) });
    assert.deepEqual(ask(plain, toHost('web.shop', 80), [], [mapped]), refusal);
  }
});

test('an application tunnel takes any address, and its port in place of the own ones', () => {
  const tunnelled = (protocol: 'none' | 'proxy', port: number | null) =>
    workload('web', { addresses: [ip(LOCAL)], applicationTunnel: { protocol, port } });
  assert.deepEqual(ask(tunnelled('proxy', 15_088), toIp('10.9.9.9', 80)), {
    is: 'forward',
    port: 15_088,
    service: null,
    proxyProtocol: true,
  });
  assert.deepEqual(ask(tunnelled('none', null), toIp('10.9.9.9', 80)), {
    is: 'forward',
    port: 80,
    service: null,
    proxyProtocol: false,
  });
  assert.equal(ask(tunnelled('none', 15_008), toIp(LOCAL, 15_006)).is, 'refuse');
});
