import assert from 'node:assert/strict';
import test from 'node:test';
import { fromHex, fuzz, readCorpus } from '../../corpora/corpus.ts';
import { HpackDecoder, HpackEncoder } from './index.ts';

const LIST_MAX_BYTES = 16_384;

test('what RFC 7541 forbids is malformed', () => {
  const cases: Record<string, string> = {
    'index 0': '80',
    'an index above the tables': 'be',
    'the name of an index above the tables': '7f00 00',
    'an integer that does not end': 'ff ffff ffff ffff',
    'an integer with more octets than any value needs': 'ff80 8080 8080 00',
    'a size update above what was announced': '3fe2 1f',
    'a size update above what was announced, even if it is taken back': '3fe2 1f20',
    'a size update after a field': '8220',
    'a string longer than the block': '0005 6161',
    'a name without a value': '0001 61',
    'EOS in a Huffman string': '0084 ffff ffff 00',
    'Huffman padding of zeros': '0081 1800',
  };
  for (const [what, hex] of Object.entries(cases)) {
    const decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
    assert.equal(decode(decoder, hex), 'malformed', what);
    assert.deepEqual(decoder.headers, [], what);
    assert.equal(decode(decoder, '82'), 'malformed', `after ${what}`);
  }
});

test('a list above its limit is too large, and the table stays in step', () => {
  const decoder = new HpackDecoder(4096, 100);
  // x: y (34 bytes) and custom-key: custom-header (55) fit, :method: GET (42) does not; a: b is indexed nevertheless.
  assert.equal(
    decode(decoder, '4001 7801 79 400a6375 73746f6d 2d6b6579 0d637573 746f6d2d 68656164 6572 82 4001 6101 62'),
    'too-large',
  );
  assert.deepEqual(decoder.headers, ['x', 'y', 'custom-key', 'custom-header']);
  assert.equal(decode(decoder, 'be'), 'ok');
  assert.deepEqual(decoder.headers, ['a', 'b']);
  assert.equal(decode(decoder, 'bfc0'), 'ok');
  assert.deepEqual(decoder.headers, ['custom-key', 'custom-header', 'x', 'y']);
});

test('an entry larger than the table empties it, kept in the list or not', () => {
  for (const listMaxBytes of [LIST_MAX_BYTES, 100]) {
    const decoder = new HpackDecoder(4096, listMaxBytes);
    assert.equal(decode(decoder, '40016101 62'), 'ok');
    const large = new Uint8Array(5006).fill(0x61);
    large.set(fromHex('400162 7f8926')); // b: 5000 times a
    assert.equal(decoder.decode(large, 0, large.length), listMaxBytes === 100 ? 'too-large' : 'ok');
    assert.equal(decode(decoder, 'be'), 'malformed');
  }
});

test('a bomb of indexed fields gives no more than the limit', () => {
  const decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
  const value = new Uint8Array(4000).fill(0x61);
  const block = new Uint8Array(100_000).fill(0xbe);
  block.set(fromHex('400161 7fa11e'));
  block.set(value, 6);
  assert.equal(decoder.decode(block, 0, block.length), 'too-large');
  assert.equal(decoder.headers.length, 8);
  assert.equal(decoder.headers[7]!.length, 4000);
});

test('indexed fields share their strings with the table, and the list belongs to its reader', () => {
  const decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
  decode(decoder, '40016101 62');
  const first = decoder.headers;
  decode(decoder, 'be');
  assert.notEqual(decoder.headers, first);
  assert.deepEqual(first, decoder.headers);
});

test('the default table holds until our SETTINGS are acknowledged, then the announced one', () => {
  const decoder = new HpackDecoder(100, LIST_MAX_BYTES);
  assert.equal(decode(decoder, '40016101 62'), 'ok');
  assert.equal(decode(decoder, '3fe11f be'), 'ok');
  decoder.settingsAcknowledged();
  assert.equal(decode(decoder, '3f45 be'), 'ok');

  const disobedient = new HpackDecoder(100, LIST_MAX_BYTES);
  disobedient.settingsAcknowledged();
  assert.equal(decode(disobedient, '82'), 'malformed');
});

test('a table may grow to what was announced and no further', () => {
  const decoder = new HpackDecoder(8192, LIST_MAX_BYTES);
  assert.equal(decode(decoder, '3fe13f'), 'ok');
  assert.equal(decode(decoder, '3fe23f'), 'malformed');
});

test('whatever arrives, a connection of mutated blocks neither throws nor exceeds its limits', () => {
  let decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
  let sound = 0;
  fuzz(readCorpus('hpack'), (block) => {
    const result = decoder.decode(block, 0, block.length);
    assert.ok(listBytes(decoder.headers) <= LIST_MAX_BYTES);
    if (result === 'malformed') decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
    else sound += 1;
  });
  assert.ok(sound > 1000, `only ${sound} blocks were sound: the corpus tests nothing but refusal`);
});

test('what is decoded from a mutated block can be encoded and decoded again', () => {
  fuzz(readCorpus('hpack'), (block) => {
    const decoder = new HpackDecoder(4096, LIST_MAX_BYTES);
    if (decoder.decode(block, 0, block.length) !== 'ok') return;
    const headers = decoder.headers;
    const encoder = new HpackEncoder();
    const out = new Uint8Array(encoder.encodedMaxBytes(headers));
    const again = new HpackDecoder(4096, LIST_MAX_BYTES);
    assert.equal(again.decode(out, 0, encoder.encode(headers, out, 0)), 'ok');
    assert.deepEqual(again.headers, headers);
  });
});

function listBytes(headers: readonly string[]): number {
  return headers.reduce((sum, text) => sum + text.length + 16, 0);
}

function decode(decoder: HpackDecoder, hex: string): string {
  const bytes = fromHex(hex);
  return decoder.decode(bytes, 0, bytes.length);
}
