/** The vectors of RFC 7541 appendix C. After each block the dynamic table is read back by its indices. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { fromHex } from '../../corpora/corpus.ts';
import { HpackDecoder, HpackEncoder } from './index.ts';

type Vector = { readonly block: string; readonly headers: string[]; readonly table: string[] };

const DATE_21 = ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'];
const DATE_22 = ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'];
const LOCATION = ['location', 'https://www.example.com'];
const PRIVATE = ['cache-control', 'private'];
const COOKIE = ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'];
const AUTHORITY = [':authority', 'www.example.com'];
const CUSTOM = ['custom-key', 'custom-value'];

const REQUESTS = [
  {
    headers: [':method', 'GET', ':scheme', 'http', ':path', '/', ...AUTHORITY],
    table: [...AUTHORITY],
  },
  {
    headers: [':method', 'GET', ':scheme', 'http', ':path', '/', ...AUTHORITY, 'cache-control', 'no-cache'],
    table: ['cache-control', 'no-cache', ...AUTHORITY],
  },
  {
    headers: [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ...AUTHORITY, ...CUSTOM],
    table: [...CUSTOM, 'cache-control', 'no-cache', ...AUTHORITY],
  },
];

const RESPONSES = [
  {
    headers: [':status', '302', ...PRIVATE, ...DATE_21, ...LOCATION],
    table: [...LOCATION, ...DATE_21, ...PRIVATE, ':status', '302'],
  },
  {
    headers: [':status', '307', ...PRIVATE, ...DATE_21, ...LOCATION],
    table: [':status', '307', ...LOCATION, ...DATE_21, ...PRIVATE],
  },
  {
    headers: [':status', '200', ...PRIVATE, ...DATE_22, ...LOCATION, 'content-encoding', 'gzip', ...COOKIE],
    table: [...COOKIE, 'content-encoding', 'gzip', ...DATE_22],
  },
];

const C3 = [
  '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
  '8286 84be 5808 6e6f 2d63 6163 6865',
  '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
];
const C4 = [
  '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
  '8286 84be 5886 a8eb 1064 9cbf',
  '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
];
const C5 = [
  `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e
   1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
  '4803 3330 37c1 c0bf',
  `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d
   4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572
   7369 6f6e 3d31`,
];
const C6 = [
  `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
   97c8 e9ae 82ae 43d3`,
  '4883 640e ffc1 c0bf',
  `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf
   cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
];

test('C.1 integers, as they appear in size updates', () => {
  const encoder = new HpackEncoder();
  const out = new Uint8Array(16);
  encoder.setTableMax(10);
  assert.deepEqual(out.subarray(0, encoder.encode([], out, 0)), fromHex('2a'));
  encoder.setTableMax(1337);
  assert.deepEqual(out.subarray(0, encoder.encode([], out, 0)), fromHex('3f9a0a'));
  const decoder = new HpackDecoder(1337, 1000);
  decoder.settingsAcknowledged();
  assert.equal(decode(decoder, '3f9a0a'), 'ok');
  assert.equal(decode(decoder, '3f9b0a'), 'malformed');
});

test('C.2 the four representations of a field', () => {
  const cases: Vector[] = [
    {
      block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      headers: ['custom-key', 'custom-header'],
      table: ['custom-key', 'custom-header'],
    },
    { block: '040c 2f73 616d 706c 652f 7061 7468', headers: [':path', '/sample/path'], table: [] },
    { block: '1008 7061 7373 776f 7264 0673 6563 7265 74', headers: ['password', 'secret'], table: [] },
    { block: '82', headers: [':method', 'GET'], table: [] },
  ];
  for (const vector of cases) assertDecodes([vector], 4096);
});

test('C.3 requests without Huffman', () => assertDecodes(vectors(C3, REQUESTS), 4096));
test('C.4 requests with Huffman', () => assertDecodes(vectors(C4, REQUESTS), 4096));
test('C.5 responses without Huffman, evicting', () => assertDecodes(vectors(C5, RESPONSES), 256));
test('C.6 responses with Huffman, evicting', () => assertDecodes(vectors(C6, RESPONSES), 256));

test('our encoder writes the blocks of C.4, byte for byte', () => {
  const encoder = new HpackEncoder();
  const out = new Uint8Array(256);
  for (const { block, headers } of vectors(C4, REQUESTS)) {
    assert.deepEqual(out.subarray(7, 7 + encoder.encode(headers, out, 7)), fromHex(block));
  }
});

function vectors(blocks: readonly string[], expected: readonly Omit<Vector, 'block'>[]): Vector[] {
  return blocks.map((block, i) => ({ block, ...expected[i]! }));
}

function assertDecodes(all: readonly Vector[], tableMaxBytes: number): void {
  for (let count = 1; count <= all.length; count += 1) {
    const decoder = new HpackDecoder(tableMaxBytes, 65_536);
    if (tableMaxBytes === 256) assert.equal(decode(decoder, '3fe101'), 'ok');
    for (const { block, headers } of all.slice(0, count)) {
      assert.equal(decode(decoder, block), 'ok');
      assert.deepEqual(decoder.headers, headers);
    }
    assert.deepEqual(readTable(decoder), all[count - 1]!.table);
  }
}

/** By index from the newest entry on; the index after the last one ends the decoder. */
function readTable(decoder: HpackDecoder): string[] {
  const table: string[] = [];
  for (let index = 62; decoder.decode(Uint8Array.of(0x80 | index), 0, 1) === 'ok'; index += 1) {
    table.push(...decoder.headers);
  }
  return table;
}

function decode(decoder: HpackDecoder, hex: string): string {
  const bytes = fromHex(`ffff${hex}ffff`);
  return decoder.decode(bytes, 2, bytes.length - 4);
}
