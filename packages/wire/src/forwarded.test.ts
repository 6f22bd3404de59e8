import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fuzz } from '../corpora/corpus.ts';
import { formatForwarded, parseForwarded } from './forwarded.ts';

test('what is written is what Istio writes', () => {
  assert.equal(
    formatForwarded('10.1.9.9', 40_312, 'cart.shop.svc.cluster.local'),
    'for="10.1.9.9:40312";host=cart.shop.svc.cluster.local',
  );
  assert.equal(formatForwarded('2001:db8::1', 80, null), 'for="[2001:db8::1]:80"');
});

test('what is written is read back', () => {
  const ip = fc.oneof(fc.ipV4(), fc.constant('2001:db8::1'));
  const port = fc.integer({ min: 1, max: 65_535 });
  fc.assert(
    fc.property(ip, port, fc.option(fc.domain()), (address, number, host) => {
      const client = address.includes(':') ? `[${address}]:${number}` : `${address}:${number}`;
      const expected = { for: client, host: host?.toLowerCase() ?? '' };
      assert.deepEqual(parseForwarded(formatForwarded(address, number, host)), expected);
    }),
  );
});

test('the first element of any RFC 7239 header is read', () => {
  const cases: Record<string, { for: string; host: string } | null> = {
    'for=192.0.2.60;proto=http;host=a.test': { for: '192.0.2.60', host: 'a.test' },
    'For="[2001:db8:cafe::17]:4711"': { for: '[2001:db8:cafe::17]:4711', host: '' },
    'host="A.Test" ; for=unknown': { for: 'unknown', host: 'a.test' },
    'for=1.1.1.1, for=2.2.2.2;host=second.test': { for: '1.1.1.1', host: '' },
    'for="a;host=forged,b";host=real.test': { for: 'a;host=forged,b', host: 'real.test' },
    'for="a\\"b"': { for: 'a"b', host: '' },
    'host=a.test;host=b.test': { for: '', host: 'a.test' },
    'host=;for=': null,
    'for="unfinished': null,
    'for="': null,
    'by=3.3.3.3': null,
    ';;;,': null,
    host: null,
    '': null,
  };
  for (const [text, expected] of Object.entries(cases)) assert.deepEqual(parseForwarded(text), expected, text);
});

test('a header above the limit is absent', () => {
  assert.notEqual(parseForwarded(`host=${'a'.repeat(1019)}`), null);
  assert.equal(parseForwarded(`host=${'a'.repeat(1020)}`), null);
});

test('whatever arrives, what is read comes from the text', () => {
  const seeds = ['for="10.0.0.1:80";host=a.test', 'for="[::1]:1";proto=http, for="\\"";host="b"', ';=,"\\'];
  fuzz(seeds.map(Buffer.from), (bytes) => {
    const text = Buffer.from(bytes).toString('latin1');
    const forwarded = parseForwarded(text);
    if (forwarded === null) return;
    assert.ok(forwarded.for !== '' || forwarded.host !== '');
    assert.ok(text.replaceAll('\\', '').includes(forwarded.for.replaceAll('\\', '')));
  });
});
