import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import test from 'node:test';
import fc from 'fast-check';
import { canonicalIp, formatIp, formatIpPort, parseIp, parseIpPort, parsePort } from './ip.ts';

test('each address has one text', () => {
  const cases: Record<string, string> = {
    '0.0.0.0': '0.0.0.0',
    '255.255.255.255': '255.255.255.255',
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '2001:DB8:0:0:0:0:0:1': '2001:db8::1',
    '2001:0db8:0:0:1:0:0:1': '2001:db8::1:0:0:1', // the first of two equal runs
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1', // one group alone is not shortened
    '1:0:0:2:0:0:0:3': '1:0:0:2::3', // the longest run
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
    '1:2:3:4:5:6:7::': '1:2:3:4:5:6:7:0',
    '::ffff:10.1.2.3': '10.1.2.3',
    '::FFFF:0a01:0203': '10.1.2.3',
    '0:0:0:0:0:ffff:10.1.2.3': '10.1.2.3',
    '::10.1.2.3': '::a01:203',
  };
  for (const [text, canonical] of Object.entries(cases)) assert.equal(canonicalIp(text), canonical, text);
});

test('what is not exactly an address is none', () => {
  const cases = ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', ' 1.2.3.4', '0x7f.0.0.1', '1.2.3.-4'];
  cases.push(
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '::1%eth0',
  );
  cases.push('::1.2.3.4:5', '1.2.3.4::', '::1.2.3', ':1::', '1:', '::ffff:010.1.2.3', '[::1]', '1:2:3:4:5:6:7:1.2.3.4');
  for (const text of cases) assert.equal(parseIp(text), null, text);
});

test('text is an address exactly if node:net says so', () => {
  const piece = fc.constantFrom(
    '',
    '0',
    '1',
    'a',
    'ffff',
    'FFFF',
    '00ab',
    '12345',
    'g',
    '255',
    '256',
    '01',
    '.',
    '1.2.3.4',
    ':',
    '::',
  );
  const nearly = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(':'));
  const joined = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  const dotted = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('.'));
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), nearly, joined, dotted, fc.string()), (text) => {
      if (!text.includes('%')) assert.equal(parseIp(text) !== null, isIP(text) !== 0);
    }),
    { numRuns: 3000 },
  );
});

test('IPv6 text is the one of WHATWG URL, and IPv4 its own', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = canonicalIp(text);
      const url = new URL(`http://[${text}]/`).hostname.slice(1, -1);
      if (canonical?.includes(':')) assert.equal(canonical, url);
      else assert.match(url, /^::ffff:/);
    }),
  );
  fc.assert(fc.property(fc.ipV4(), (text) => assert.equal(canonicalIp(text), text)));
});

test('bytes survive the way through text, mapped addresses as the four that they stand for', () => {
  const groups = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xffff), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(groups, (words) => {
      const bytes = Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
      const mapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
      assert.deepEqual(parseIp(formatIp(bytes)), mapped ? bytes.slice(12) : bytes);
    }),
  );
  assert.equal(formatIp(Uint8Array.of(9, 9, 10, 0, 0, 1, 9), 2, 4), '10.0.0.1');
});

test('an address with a port', () => {
  assert.deepEqual(parseIpPort('10.0.0.1:80'), { ip: '10.0.0.1', port: 80 });
  assert.deepEqual(parseIpPort('[2001:DB8::1]:65535'), { ip: '2001:db8::1', port: 65_535 });
  assert.deepEqual(parseIpPort('[::ffff:10.0.0.1]:80'), { ip: '10.0.0.1', port: 80 });
  const none = ['', ':80', '10.0.0.1', '10.0.0.1:', '10.0.0.1:0', '10.0.0.1:65536', '10.0.0.1:080', '10.0.0.1:+80'];
  none.push(
    '[10.0.0.1]:80',
    '2001:db8::1:80',
    '[2001:db8::1]',
    '[2001:db8::1]80',
    '[fe80::1%eth0]:80',
    '[[::1]]:80',
    'a@10.0.0.1:80',
  );
  for (const text of none) assert.equal(parseIpPort(text), null, text);
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }), (text, port) => {
      const ip = canonicalIp(text)!;
      assert.deepEqual(parseIpPort(formatIpPort(ip, port)), { ip, port });
    }),
  );
});

test('a port is 1 to 65535 in plain decimal', () => {
  assert.deepEqual(['1', '65535', '0', '65536', '99999', '123456', '', '-1', '1e3', ' 1', '1\n', '１'].map(parsePort), [
    1,
    65_535,
    ...new Array(10).fill(null),
  ]);
});
