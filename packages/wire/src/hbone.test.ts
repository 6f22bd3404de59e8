import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fuzz, readCorpus } from '../corpora/corpus.ts';
import { hboneRequestHeaders, parseHboneAuthority, parseHboneRequest } from './hbone.ts';
import { HpackDecoder } from './hpack/index.ts';

const REQUEST = {
  authority: '10.1.2.3:8080',
  baggage:
    'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.pod.name=web-7f,service.name=web,service.version=v1',
  forwarded: 'for="10.1.9.9:40312";host=cart.shop.svc.cluster.local',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
  forwardedNetwork: '',
};

test('the request is the one that Istio sends', () => {
  assert.deepEqual(hboneRequestHeaders(REQUEST), [
    ':method',
    'CONNECT',
    ':authority',
    '10.1.2.3:8080',
    'baggage',
    REQUEST.baggage,
    'forwarded',
    REQUEST.forwarded,
    'traceparent',
    REQUEST.traceparent,
  ]);
  const least = { authority: 'a:1', baggage: '', forwarded: '', traceparent: '', forwardedNetwork: 'west' };
  assert.deepEqual(hboneRequestHeaders(least).slice(4), ['x-forwarded-network', 'west']);
});

test('what is sent is understood', () => {
  const { call } = parseHboneRequest(hboneRequestHeaders({ ...REQUEST, forwardedNetwork: 'west' }));
  assert.deepEqual(call, {
    authority: { kind: 'ip', ip: '10.1.2.3', port: 8080 },
    baggage: {
      cluster: 'Kubernetes',
      namespace: 'shop',
      workloadType: 'pod',
      workloadName: 'web-7f',
      service: 'web',
      revision: 'v1',
      region: '',
      zone: '',
    },
    forwarded: { for: '10.1.9.9:40312', host: 'cart.shop.svc.cluster.local' },
    traceparent: { traceId: '0af7651916cd43dd8448eb211c80319c', parentId: 'b7ad6b7169203331', flags: 0 },
    forwardedNetwork: 'west',
  });
});

test('an authority is an address or a name, with a port', () => {
  const cases: Record<string, object> = {
    '10.1.2.3:80': { kind: 'ip', ip: '10.1.2.3', port: 80 },
    '[2001:DB8::1]:65535': { kind: 'ip', ip: '2001:db8::1', port: 65_535 },
    '[::ffff:10.1.2.3]:80': { kind: 'ip', ip: '10.1.2.3', port: 80 },
    'Cart.Shop.svc.cluster.local:80': { kind: 'host', host: 'cart.shop.svc.cluster.local', port: 80 },
    'localhost:1': { kind: 'host', host: 'localhost', port: 1 },
    '_tcp.a-b.x1:80': { kind: 'host', host: '_tcp.a-b.x1', port: 80 },
    [`${'a'.repeat(63)}.b:80`]: { kind: 'host', host: `${'a'.repeat(63)}.b`, port: 80 },
  };
  for (const [text, expected] of Object.entries(cases)) assert.deepEqual(parseHboneAuthority(text), expected, text);
});

test('any other authority is 400', () => {
  const none = [
    '',
    ':',
    ':80',
    'a',
    'a:',
    'a:0',
    'a:65536',
    'a:-1',
    'a:+1',
    'a:080',
    'a: 80',
    'a:80 ',
    'a:8x',
    'a:80:80',
  ];
  none.push(
    '10.1.2.3',
    '10.1.2.3:0',
    '10.1.2.3:65536',
    '10.1.2.3:99999999999',
    '[::1]',
    '[::1]:',
    '[::1]:0',
    '::1:80',
    '2001:db8::1',
  );
  none.push(
    '[fe80::1%eth0]:80',
    '[fe80::1%25eth0]:80',
    'fe80::1%1:80',
    '[10.1.2.3]:80',
    '[a]:80',
    '[]:80',
    '[::1:80',
    '::1]:80',
  );
  none.push(
    'user@10.1.2.3:80',
    'user:secret@a:80',
    '@a:80',
    'http://a:80',
    'a:80/',
    '/a:80',
    'a?b:80',
    'a#b:80',
    '*.a:80',
    'a b:80',
  );
  none.push(
    '1.2.3:80',
    '256.1.1.1:80',
    '127.0.0.0x1:80',
    '0x7f000001:80',
    '2130706433:80',
    '10.1.2.03:80',
    '10.1.2.3.:80',
  );
  none.push('a..b:80', '.a:80', 'a.:80', '-a:80', 'a-:80', 'ä:80', 'a\0b:80', 'a\n:80', 'a:80\n', 'a:８０');
  none.push(`${'a'.repeat(64)}:80`, `${'a.'.repeat(127)}a:80`);
  for (const authority of none) {
    const { call, refusal } = parseHboneRequest([':method', 'CONNECT', ':authority', authority]);
    assert.equal(call, null, JSON.stringify(authority));
    assert.equal(refusal?.status, 400);
    assert.equal(refusal?.code, 'HBONE_AUTHORITY');
  }
});

test('any other request is 400', () => {
  const connect = [':method', 'CONNECT', ':authority', 'a:1'];
  const cases: [string[], string][] = [
    [[], 'HBONE_METHOD'],
    [[':method', 'GET', ':authority', 'a:1'], 'HBONE_METHOD'],
    [[':method', 'connect', ':authority', 'a:1'], 'HBONE_METHOD'],
    [[...connect, ':method', 'CONNECT'], 'HBONE_METHOD'],
    [[':method', 'CONNECT'], 'HBONE_AUTHORITY'],
    [[':method', 'CONNECT', 'host', 'a:1'], 'HBONE_AUTHORITY'],
    [[...connect, ':authority', 'b:1'], 'HBONE_AUTHORITY'],
    [[...connect, ':scheme', 'http'], 'HBONE_HEADERS'],
    [[...connect, ':path', '/'], 'HBONE_HEADERS'],
    [[...connect, ':protocol', 'websocket'], 'HBONE_HEADERS'],
  ];
  for (const [headers, code] of cases) assert.equal(parseHboneRequest(headers).refusal?.code, code, headers.join(' '));
});

test('headers that only inform never refuse a call', () => {
  const connect = [':method', 'CONNECT', ':authority', 'a:1'];
  const { call } = parseHboneRequest([
    ...connect,
    ...['baggage', 'service.name=web,,=', 'baggage', 'cloud.region=r'],
    ...['forwarded', '"', 'traceparent', 'x', 'x-forwarded-network', 'n'.repeat(256), 'other', 'y'],
  ]);
  assert.equal(call?.baggage.service, 'web');
  assert.equal(call?.baggage.region, 'r');
  assert.equal(call?.forwarded, null);
  assert.equal(call?.traceparent, null);
  assert.equal(call?.forwardedNetwork, '');
  const twice = [...connect, 'traceparent', REQUEST.traceparent, 'traceparent', REQUEST.traceparent];
  assert.equal(parseHboneRequest(twice).call?.traceparent, null);
});

test('every host and port that is understood names what was written', () => {
  fc.assert(
    fc.property(fc.domain(), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
      assert.deepEqual(parseHboneAuthority(`${host}:${port}`), { kind: 'host', host: host.toLowerCase(), port });
    }),
  );
});

test('whatever a header block holds, a request is understood or refused', () => {
  let understood = 0;
  fuzz(readCorpus('hbone'), (block) => {
    const decoder = new HpackDecoder(4096, 65_536);
    if (decoder.decode(block, 0, block.length) !== 'ok') return;
    const { call, refusal } = parseHboneRequest(decoder.headers);
    assert.equal(call === null, refusal !== null);
    if (call === null) return;
    understood += 1;
    assert.ok(call.authority.port >= 1 && call.authority.port <= 65_535);
    const name = call.authority.kind === 'ip' ? call.authority.ip : call.authority.host;
    assert.match(name, call.authority.kind === 'ip' ? /^[0-9a-f:.]+$/ : /^[a-z0-9._-]+$/);
  });
  assert.ok(understood > 1000, `only ${understood} requests were understood`);
});
