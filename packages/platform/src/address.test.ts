import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import test from 'node:test';
import fc from 'fast-check';
import { ipFamily, readSockaddr, writeSockaddr } from './address.ts';

const view = new DataView(new ArrayBuffer(64));
const bytes = new Uint8Array(view.buffer);

test('an IPv4 address is laid out as struct sockaddr_in', () => {
  bytes.fill(0xff);
  assert.equal(writeSockaddr(view, 8, '192.0.2.1', 15008), 16);
  assert.deepEqual([...bytes.subarray(8, 24)], [2, 0, 0x3a, 0xa0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(readSockaddr(view, 8), { ip: '192.0.2.1', port: 15008 });
});

test('an IPv6 address is laid out as struct sockaddr_in6, without flow label and scope', () => {
  bytes.fill(0xff);
  assert.equal(writeSockaddr(view, 4, '2001:db8::1:0:2', 443), 28);
  assert.deepEqual(
    [...bytes.subarray(4, 32)],
    [10, 0, 1, 0xbb, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0],
  );
  assert.deepEqual(readSockaddr(view, 4), { ip: '2001:db8::1:0:2', port: 443 });
});

test('an IPv4-mapped IPv6 address is IPv4: as the kernel writes it, and as text', () => {
  bytes.set([10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3, 0, 0, 0, 0]);
  assert.deepEqual(readSockaddr(view, 0), { ip: '10.1.2.3', port: 80 });
  assert.equal(writeSockaddr(view, 0, '::ffff:10.1.2.4', 80), 16);
  assert.deepEqual(readSockaddr(view, 0), { ip: '10.1.2.4', port: 80 });
  assert.deepEqual(['::ffff:10.1.2.4', '10.1.2.4', '::1'].map(ipFamily), [4, 4, 6]);
});

test('every address and port survives the way into memory and back', () => {
  const port = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(fc.ipV4(), port, (ip, number) => {
      writeSockaddr(view, 3, ip, number);
      assert.deepEqual(readSockaddr(view, 3), { ip, port: number });
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), port, (raw, number) => {
      const text = Array.from({ length: 8 }, (_, i) => ((raw[2 * i]! << 8) | raw[2 * i + 1]!).toString(16)).join(':');
      writeSockaddr(view, 0, text, number);
      const { ip } = readSockaddr(view, 0);
      assert.ok(isIP(ip) !== 0);
      if (ipFamily(ip) === 4) return;
      assert.equal(ip, new URL(`http://[${text}]`).hostname.slice(1, -1), 'as WHATWG writes it, which is RFC 5952');
    }),
  );
});

test('what is not an address or a port never becomes a system call', () => {
  for (const ip of [
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1:2',
    '::1::',
    ':::',
    '1:2:3:4:5:6:7:8:9',
    'fe80::1%eth0',
    'host',
    '::1.2.3.4:1',
  ]) {
    assert.throws(() => writeSockaddr(view, 0, ip, 1), /valid/, ip);
  }
  for (const port of [-1, 65536, 1.5, Number.NaN]) assert.throws(() => writeSockaddr(view, 0, '::1', port), /65535/);
});
