import assert from 'node:assert/strict';
import test from 'node:test';
import { parseResolvConf, type ResolvConf } from './resolv-conf.ts';

const NOTHING: ResolvConf = { nameservers: [], searchDomains: [], timeoutMs: 5000, attempts: 2 };

const cases: readonly (readonly [title: string, text: string, expected: Partial<ResolvConf>])[] = [
  ['an empty file gives the defaults', '', {}],
  [
    'what Kubernetes writes is understood',
    'search ns1.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n',
    {
      nameservers: ['10.96.0.10'],
      searchDomains: ['ns1.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
    },
  ],
  [
    'comments, blanks, tabs and carriage returns are skipped',
    '# one\n; two\n\n\tnameserver\t8.8.8.8 \r\nnameserver 8.8.4.4 # three\n',
    { nameservers: ['8.8.8.8', '8.8.4.4'] },
  ],
  [
    'addresses are canonical, and what is none is skipped',
    'nameserver 2001:DB8:0::1\nnameserver ::ffff:1.2.3.4\nnameserver fe80::1%eth0\nnameserver localhost\nnameserver\n',
    { nameservers: ['2001:db8::1', '1.2.3.4'] },
  ],
  [
    'three nameservers are enough',
    ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4'].map((ip) => `nameserver ${ip}`).join('\n'),
    { nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3'] },
  ],
  ['the last of search and domain counts', 'search a b\ndomain c d\n', { searchDomains: ['c'] }],
  ['a later search replaces a domain', 'domain c\nsearch a b\n', { searchDomains: ['a', 'b'] }],
  ['timeout and attempts are taken', 'options timeout:2 rotate attempts:3', { timeoutMs: 2000, attempts: 3 }],
  ['timeout and attempts are bounded', 'options timeout:99 attempts:99', { timeoutMs: 30_000, attempts: 5 }],
  ['none at all is one', 'options timeout:0 attempts:0', { timeoutMs: 1000, attempts: 1 }],
  ['options that are none are skipped', 'options timeout:x attempts: timeout: attempts:-1', {}],
  ['keywords are whole words in lower case', 'nameservers 1.1.1.1\nNAMESERVER 1.1.1.1', {}],
];

for (const [title, text, expected] of cases) {
  test(`resolv.conf: ${title}`, () => assert.deepEqual(parseResolvConf(text), { ...NOTHING, ...expected }));
}

test('resolv.conf: a list of search domains ends somewhere', () => {
  const domains = Array.from({ length: 1000 }, (_, i) => `d${i}.example`);
  assert.equal(parseResolvConf(`search ${domains.join(' ')}`).searchDomains.length, 32);
});
