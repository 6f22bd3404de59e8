import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { cidrOf, ipAddressOf, parseCidr, parseIpAddress } from './ip-address.ts';

describe('a block contains an address', () => {
  const cases: [block: string, address: string, contained: boolean][] = [
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/31', '10.0.0.1', true],
    ['10.0.0.0/31', '10.0.0.2', false],
    ['128.0.0.0/1', '255.0.0.1', true],
    ['128.0.0.0/1', '127.255.255.255', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '::1', true],
    ['::/0', '10.0.0.1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.3', false],
    ['fd00::/32', 'fd00:0:ffff::1', true],
    ['fd00::/33', 'fd00:0:8000::1', false],
    ['fd00::/64', 'fd00::ffff:0:0:0', true],
    ['fd00::/65', 'fd00::8000:0:0:0', false],
    ['fd00::/97', 'fd00::8000:0', false],
    ['fd00::1/128', 'fd00::1', true],
    ['fd00::1/128', 'fd00::3', false],
    ['::ffff:10.0.0.0/104', '10.9.9.9', true],
    ['::ffff:10.0.0.0/104', '11.0.0.0', false],
    ['::ffff:10.0.0.1', '10.0.0.1', true],
    ['10.0.0.0/8', '::ffff:10.1.1.1', true],
  ];
  for (const [block, address, contained] of cases) {
    test(`${block} ${contained ? 'holds' : 'does not hold'} ${address}`, () => {
      assert.equal(parseCidr(block)!.contains(parseIpAddress(address)!), contained);
    });
  }
});

test('what is no block is refused', () => {
  for (const text of ['10.0.0.0/33', 'fd00::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0/8', '/8', '']) {
    assert.equal(parseCidr(text), null, text);
  }
  assert.equal(cidrOf(Uint8Array.of(1, 2, 3), 8), null);
  assert.equal(cidrOf(Uint8Array.of(1, 2, 3, 4), 1.5), null);
  assert.equal(ipAddressOf(new Uint8Array(5)), null);
  assert.equal(parseIpAddress('host'), null);
});

test('a prefix that reaches beyond the mapped addresses stays IPv6', () => {
  const block = parseCidr('::ffff:10.0.0.0/90')!;
  assert.equal(block.contains(parseIpAddress('10.0.0.0')!), false);
  assert.equal(block.contains(parseIpAddress('::ff80:1:1')!), false);
  assert.equal(block.contains(parseIpAddress('::ffc0:1:1')!), true);
});

test('text and bytes come back', () => {
  for (const text of ['10.0.0.1', '255.255.255.255', 'fd00::1', '2001:db8::ffff:1']) {
    const address = parseIpAddress(text)!;
    assert.equal(String(address), text);
    assert.deepEqual(ipAddressOf(address.toBytes()), address);
  }
  assert.equal(String(parseCidr('10.1.2.3/8')), '10.1.2.3/8');
});
