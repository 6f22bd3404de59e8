import assert from 'node:assert/strict';
import test from 'node:test';
import { type Answer, DNSSEC_OK, decode, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { isAnswerTo, isTruncated, rcodeOf, relayAnswer, writeAnswer, writeError } from './answer.ts';
import { decodeMessage, FORMERR, NOERROR, NOTIMP, SERVFAIL } from './message.ts';
import { parseQuery, type Query, udpAnswerBytesMax } from './query.ts';

const NAME = 'Web.Shop.svc.cluster.local';

function ask(given: Packet = {}): Buffer {
  return encode({ type: 'query', id: 0x1234, flags: 0x0100, questions: [{ type: 'A', name: NAME }], ...given });
}

function opt(udpPayloadSize: number, ednsVersion = 0, flags = 0): Answer {
  return { type: 'OPT', name: '.', udpPayloadSize, extendedRcode: 0, ednsVersion, flags, flag_do: false, options: [] };
}

function queryOf(message: Uint8Array): Query {
  const parsed = parseQuery(message, 0, message.length);
  assert.equal(parsed.is, 'query');
  return (parsed as { query: Query }).query;
}

function rcodeRefusing(message: Uint8Array): number | string {
  const parsed = parseQuery(message, 0, message.length);
  if (parsed.is !== 'refused') return parsed.is;
  assert.deepEqual(parsed.answer.slice(0, 2), message.slice(0, 2));
  assert.equal(parsed.answer.length, 12);
  assert.equal(decode(Buffer.from(parsed.answer)).type, 'response');
  return rcodeOf(parsed.answer);
}

const local = (addresses: readonly number[][], given: { name?: string; isAlias?: boolean } = {}) => ({
  rcode: NOERROR,
  isAuthoritative: true,
  name: NAME,
  isAlias: false,
  ...given,
  addresses: addresses.map((each) => Uint8Array.from(each)),
});

test('a query is taken apart, its spelling kept', () => {
  const { id, name, type, isForHost, edns, questionEnd } = queryOf(ask());
  assert.deepEqual([id, name, type, isForHost, edns, questionEnd], [0x1234, NAME, 'A', true, null, 12 + 28 + 4]);
  const offset = Buffer.concat([Buffer.alloc(7), ask()]);
  const parsed = parseQuery(offset, 7, offset.length - 7);
  assert.ok(parsed.is === 'query' && parsed.query.name === NAME);
});

test('EDNS is read: payload, version and DO', () => {
  assert.deepEqual(queryOf(ask({ additionals: [opt(1232, 1, DNSSEC_OK)] })).edns, {
    payloadBytes: 1232,
    version: 1,
    dnssecOk: true,
  });
});

test('what a client takes over UDP is at least 512 bytes and at most a datagram', () => {
  const sizes = [null, 1, 511, 512, 1232, 65_535].map((size) =>
    udpAnswerBytesMax(queryOf(ask(size === null ? {} : { additionals: [opt(size)] }))),
  );
  assert.deepEqual(sizes, [512, 512, 512, 512, 1232, 65_507]);
});

test('types have names of few kinds', () => {
  const typed = (type: number): string => {
    const message = ask();
    message.writeUInt16BE(type, message.length - 4);
    return queryOf(message).type;
  };
  assert.deepEqual([1, 28, 65, 255, 65_280].map(typed), ['A', 'AAAA', 'HTTPS', 'ANY', 'UNKNOWN']);
});

test('only a plain name of the internet is for a host', () => {
  const isForHost = (name: string, change: (message: Buffer) => void = () => {}): boolean => {
    const message = ask({ questions: [{ type: 'A', name }] });
    change(message);
    return queryOf(message).isForHost;
  };
  assert.ok(isForHost('_x-1.*.example'));
  assert.ok(!isForHost('.'));
  assert.ok(!isForHost('a b.example'));
  assert.ok(!isForHost('caf\u00e9.example'));
  // One label `a.b` is not two labels.
  assert.ok(!isForHost('a-b.example', (message) => message.write('.', 14)));
  // Bytes that are no text.
  assert.ok(!isForHost('ab.example', (message) => message.writeUInt8(0xff, 13)));
  // CHAOS.
  assert.ok(!isForHost('ab.example', (message) => message.writeUInt16BE(3, message.length - 2)));
});

const tooMany: Answer[] = Array.from({ length: 17 }, (_, i) => ({ type: 'A', name: 'a', data: `10.0.0.${i}` }));
const refusedCases: readonly (readonly [title: string, message: () => Uint8Array, rcode: number | string])[] = [
  ['less than a header', () => ask().subarray(0, 11), 'garbage'],
  ['a response', () => encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'a' }] }), 'response'],
  ['another opcode', () => ask({ flags: 5 << 11 }), NOTIMP],
  ['no question', () => ask({ questions: [] }), FORMERR],
  [
    'two questions',
    () =>
      ask({
        questions: [
          { type: 'A', name: 'a' },
          { type: 'A', name: 'b' },
        ],
      }),
    FORMERR,
  ],
  ['a question cut short', () => ask().subarray(0, 30), FORMERR],
  ['a question without its class', () => ask().subarray(0, -1), FORMERR],
  ['too many records', () => ask({ additionals: tooMany }), FORMERR],
  ['counts beyond the message', () => Buffer.from(ask()).fill(0xff, 6, 12), FORMERR],
  ['a record that is not there', () => Buffer.from(ask()).fill(1, 11, 12), FORMERR],
  ['two OPT records', () => ask({ additionals: [opt(512), opt(512)] }), FORMERR],
  ['a pointer for a name', () => Buffer.from(ask()).fill(0xc0, 12, 13), FORMERR],
  ['a name without an end', () => Buffer.concat([ask().subarray(0, 12), Buffer.alloc(300, 1)]), FORMERR],
  ['a label that is too long', () => Buffer.from(ask()).fill(64, 12, 13), FORMERR],
  ['more bytes than any query', () => Buffer.concat([ask(), Buffer.alloc(5000)]), FORMERR],
];

for (const [title, message, rcode] of refusedCases) {
  test(`refused: ${title}`, () => assert.equal(rcodeRefusing(message()), rcode));
}

test('an answer has AA and RA, the question as it was asked, and addresses of both families', () => {
  const query = queryOf(ask());
  const six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
  const packet = decode(Buffer.from(writeAnswer(query, local([[10, 0, 0, 1], six]), 512)));
  assert.deepEqual(
    [packet.id, packet.flag_qr, packet.flag_aa, packet.flag_tc, packet.flag_rd, packet.flag_ra, packet.flag_ad],
    [0x1234, true, true, false, true, true, false],
  );
  assert.deepEqual(packet.questions, [{ name: NAME, type: 'A', class: 'IN' }]);
  const record = { name: NAME, ttl: 30, class: 'IN', flush: false };
  assert.deepEqual(packet.answers, [
    { ...record, type: 'A', data: '10.0.0.1' },
    { ...record, type: 'AAAA', data: '2001:db8::1' },
  ]);
  assert.deepEqual(packet.additionals, []);
});

test('an alias comes first and the addresses are of what it leads to', () => {
  const query = queryOf(ask({ additionals: [opt(1232, 0, DNSSEC_OK)] }));
  const answer = local([[10, 0, 0, 1]], { name: 'Web.Shop', isAlias: true });
  const packet = decode(Buffer.from(writeAnswer(query, answer, 1232)));
  const record = { ttl: 30, class: 'IN', flush: false };
  assert.deepEqual(packet.answers, [
    { ...record, name: NAME, type: 'CNAME', data: 'Web.Shop' },
    { ...record, name: 'Web.Shop', type: 'A', data: '10.0.0.1' },
  ]);
  const [edns] = packet.additionals ?? [];
  assert.ok(edns?.type === 'OPT' && edns.udpPayloadSize === 1232 && edns.ednsVersion === 0 && edns.flag_do);
});

test('what does not fit is left out and said to be', () => {
  const addresses = Array.from({ length: 256 }, (_, i) => [240, 0, 0, i]);
  const plain = queryOf(ask());
  const udp = writeAnswer(plain, local(addresses), 512);
  assert.ok(isTruncated(udp) && udp.length <= 512 && udp.length > 512 - 16);
  assert.equal(decode(Buffer.from(udp)).answers?.length, 29);
  const tcp = writeAnswer(plain, local(addresses), 65_535);
  assert.ok(!isTruncated(tcp) && decode(Buffer.from(tcp)).answers?.length === 256);
  // The longest alias of the longest name does not fit beside it.
  const long = Array.from({ length: 4 }, () => 'x'.repeat(62)).join('.');
  const query = queryOf(ask({ questions: [{ type: 'A', name: long }] }));
  const none = writeAnswer(query, local([[10, 0, 0, 1]], { name: long.slice(0, -63), isAlias: true }), 450);
  assert.ok(isTruncated(none) && decode(Buffer.from(none)).answers?.length === 0);
});

test('an error has the question, its EDNS and nothing else', () => {
  const packet = decode(Buffer.from(writeError(queryOf(ask({ additionals: [opt(4096)] })), SERVFAIL)));
  assert.deepEqual(
    [packet.flags && packet.flags & 15, packet.flag_aa, packet.questions?.[0]?.name, packet.answers],
    [SERVFAIL, false, NAME, []],
  );
  assert.equal(packet.additionals?.length, 1);
});

test('an answer is taken only under its id, as a response, to the same question', () => {
  const query = queryOf(ask());
  const answer = encode({ ...decode(ask({ id: 77 })), type: 'response' });
  const takes = (change: (message: Buffer) => void): boolean => {
    const message = Buffer.from(answer);
    change(message);
    return isAnswerTo(query, 77, message, 0, message.length);
  };
  assert.ok(takes(() => {}));
  assert.ok(
    takes((message) => message.write('wEB', 13)),
    'another spelling',
  );
  assert.ok(!takes((message) => message.writeUInt16BE(78, 0)), 'another id');
  assert.ok(!takes((message) => message.writeUInt8(1, 2)), 'a query');
  assert.ok(!takes((message) => message.writeUInt16BE(0, 4)), 'no question');
  assert.ok(!takes((message) => message.write('x', 13)), 'another name');
  assert.ok(!takes((message) => message.writeUInt16BE(28, message.length - 4)), 'another type');
  assert.ok(!takes((message) => message.writeUInt8(0x21, message.length - 1)), 'another class');
  assert.ok(!isAnswerTo(query, 77, answer, 0, answer.length - 1), 'cut short');
  assert.ok(!isAnswerTo(query, 77, answer, 0, 0), 'empty');
});

test('a relayed answer has the id of the client, RA and no AA, else it is as it was', () => {
  const query = queryOf(ask());
  const upstream = encode({
    type: 'response',
    id: 9,
    flags: 0x0503,
    questions: [{ type: 'A', name: NAME }],
    authorities: [{ type: 'NS', name: 'cluster.local', data: 'ns.example' }],
  });
  const relayed = Buffer.from(relayAnswer(query, upstream, 512));
  const packet = decode(relayed);
  assert.deepEqual([packet.id, packet.flag_aa, packet.flag_ra, rcodeOf(relayed)], [0x1234, false, true, 3]);
  assert.deepEqual(relayed.subarray(4), upstream.subarray(4));
  const cut = relayAnswer(query, upstream, upstream.length - 1);
  assert.ok(isTruncated(cut) && cut.length === query.questionEnd && rcodeOf(cut) === 3);
  assert.deepEqual(decode(Buffer.from(cut)).questions?.[0]?.name, NAME);
});

test('counts that the bytes cannot hold are not believed, nor records that go on behind the end', () => {
  const answer = encode({ type: 'response', questions: [], answers: [{ type: 'A', name: 'a', data: '10.0.0.1' }] });
  assert.equal(decodeMessage(answer)?.answers?.length, 1);
  assert.equal(decodeMessage(answer.subarray(0, -1)), null);
  assert.equal(decodeMessage(Buffer.from(answer).fill(0xff, 8, 10)), null);
  assert.equal(decodeMessage(answer.subarray(0, 11)), null);
});

/** Well-formed queries with a few bytes changed, cut or added. */
const hostile = fc
  .tuple(
    fc.constantFrom(
      ask(),
      ask({ additionals: [opt(1232)] }),
      ask({
        questions: [{ type: 'TXT', name: '.' }],
        additionals: [opt(512), { type: 'NULL', name: 'x.y', data: Buffer.alloc(40) }],
      }),
      ask({ additionals: [{ type: 'SOA', name: 'a.b', data: { mname: 'c.d', rname: 'e.f' } }] }),
    ),
    fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
    fc.nat(120),
    fc.uint8Array({ maxLength: 20 }),
  )
  .map(([message, changes, cut, tail]) => {
    const changed = Buffer.from(message);
    for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte;
    return new Uint8Array(Buffer.concat([changed.subarray(0, Math.max(cut, 4)), tail]));
  });

test('whatever comes is taken apart or refused, and every answer is well formed', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.oneof(hostile, fc.uint8Array({ maxLength: 600 })), (message) => {
      const parsed = parseQuery(message, 0, message.length);
      seen.set(parsed.is, (seen.get(parsed.is) ?? 0) + 1);
      if (parsed.is === 'refused') assert.equal(parsed.answer.length, 12);
      if (parsed.is !== 'query') return;
      const { query } = parsed;
      const bytesMax = udpAnswerBytesMax(query);
      const answers = [writeError(query, SERVFAIL), writeAnswer(query, local([[10, 0, 0, 1]]), bytesMax)];
      for (const answer of answers) {
        assert.ok(answer.length <= bytesMax);
        assert.equal(
          Buffer.compare(answer.subarray(12, query.questionEnd), message.subarray(12, query.questionEnd)),
          0,
        );
        assert.ok(isAnswerTo(query, query.id, answer, 0, answer.length));
        decode(Buffer.from(answer));
      }
    }),
    { numRuns: 5000, seed: 79 },
  );
  for (const kind of ['query', 'refused', 'response', 'garbage'])
    assert.ok((seen.get(kind) ?? 0) > 20, `${kind}: ${seen.get(kind)}`);
});
