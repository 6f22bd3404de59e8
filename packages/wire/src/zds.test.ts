import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import fc from 'fast-check';
import { ZDS_RECORD_MAX_BYTES } from './limits.ts';
import {
  decodeZdsAck,
  decodeZdsHello,
  decodeZdsRequest,
  encodeZdsAck,
  encodeZdsHello,
  encodeZdsRequest,
  type ZdsRefusal,
  type ZdsRequest,
} from './zds.ts';

const POD = { name: 'n', namespace: 'm', serviceAccount: 's' };

/** Put together by hand from the field numbers of Istio's zds.proto. */
const REQUESTS: readonly (readonly [hex: string, descriptors: number, request: ZdsRequest])[] = [
  ['0a 0e 0a 01 61 12 09 0a 01 6e 12 01 6d 1a 01 73', 1, { kind: 'add', uid: 'a', pod: POD }],
  ['2a 03 0a 01 61', 0, { kind: 'keep', uid: 'a' }],
  ['12 03 12 01 61', 0, { kind: 'del', uid: 'a' }],
  ['1a 00', 0, { kind: 'snapshot-sent' }],
];

describe('requests', () => {
  for (const [hex, descriptors, request] of REQUESTS) {
    test(`${request.kind} is ${hex}`, () => {
      assert.equal(encodeZdsRequest(request).toHex(), hex.replaceAll(' ', ''));
      assert.deepEqual(decodeZdsRequest(bytes(hex), descriptors), request);
    });

    test(`${request.kind} with another number of descriptors is refused`, () => {
      for (const count of [0, 1, 2]) {
        const decoded = decodeZdsRequest(bytes(hex), count);
        if (count === descriptors) assert.equal(decoded.kind, request.kind);
        else assertRefused(decoded, 'ZDS_DESCRIPTORS', `${request.kind} came with ${count}`);
      }
    });
  }

  const refusals: readonly (readonly [title: string, hex: string, code: string, reason: string])[] = [
    ['an add without workload_info', '0a 03 0a 01 61', 'ZDS_WORKLOAD_INFO', 'add of a came without workload_info'],
    ['a request without payload', '', 'ZDS_RECORD', 'holds nothing that is known'],
    ['a payload of the future', '32 00', 'ZDS_RECORD', 'holds nothing that is known'],
    ['an add without uid', '0a 02 12 00', 'ZDS_RECORD', 'add names no workload'],
    ['a keep without uid', '2a 00', 'ZDS_RECORD', 'keep names no workload'],
    ['a del whose uid is in the field of keep', '12 03 0a 01 61', 'ZDS_RECORD', 'del names no workload'],
    ['a length beyond the record', '0a 7f 0a 01 61', 'ZDS_RECORD', 'not a message: '],
    ['a group that does not end', '0b', 'ZDS_RECORD', 'not a message: '],
  ];
  for (const [title, hex, code, reason] of refusals) {
    test(`${title} is refused`, () => assertRefused(decodeZdsRequest(bytes(hex), 1), code, reason));
  }

  test('an add whose workload_info says nothing is taken', () => {
    const empty = { name: '', namespace: '', serviceAccount: '' };
    assert.deepEqual(decodeZdsRequest(bytes('0a 05 0a 01 61 12 00'), 1), { kind: 'add', uid: 'a', pod: empty });
  });

  test('fields of the future are passed over', () => {
    const hex = '0a 08 0a 01 61 12 00 7a 01 78 7a 00';
    assert.equal(decodeZdsRequest(bytes(hex), 1).kind, 'add');
  });

  test('a record is as long as the buffer of the other side, and not longer', () => {
    const add = (chars: number): ZdsRequest => ({ kind: 'add', uid: 'u'.repeat(chars), pod: POD });
    const overhead = encodeZdsRequest(add(500)).length - 500;
    const longest = encodeZdsRequest(add(ZDS_RECORD_MAX_BYTES - overhead));
    assert.equal(longest.length, ZDS_RECORD_MAX_BYTES);
    assert.equal(decodeZdsRequest(longest, 1).kind, 'add');
    assert.throws(
      () => encodeZdsRequest(add(ZDS_RECORD_MAX_BYTES - overhead + 1)),
      (error) => error instanceof AmbitError && error.code === 'ZDS_TOO_LONG',
    );
    assertRefused(decodeZdsRequest(new Uint8Array(ZDS_RECORD_MAX_BYTES + 1), 0), 'ZDS_RECORD', '1025 bytes');
  });
});

describe('hello', () => {
  test('is 08 01', () => {
    assert.equal(encodeZdsHello().toHex(), '0801');
    assert.deepEqual(decodeZdsHello(bytes('08 01')), { kind: 'hello' });
  });

  test('of no version, or of another, is refused', () => {
    assertRefused(decodeZdsHello(bytes('08 00')), 'ZDS_VERSION', 'version 0');
    assertRefused(decodeZdsHello(bytes('08 02')), 'ZDS_VERSION', 'version 2');
    assertRefused(decodeZdsHello(bytes('08')), 'ZDS_RECORD', 'not a message');
  });
});

describe('acks', () => {
  test('of success and of failure have the bytes of Istio', () => {
    assert.equal(encodeZdsAck('').toHex(), '0a00');
    assert.equal(encodeZdsAck('x').toHex(), '0a030a0178');
    assert.deepEqual(decodeZdsAck(bytes('0a 00')), { kind: 'ack', error: '' });
    assert.deepEqual(decodeZdsAck(bytes('0a 03 0a 01 78')), { kind: 'ack', error: 'x' });
  });

  test('a response without one is refused', () => {
    assertRefused(decodeZdsAck(new Uint8Array()), 'ZDS_RECORD', 'holds no ack');
    assertRefused(decodeZdsAck(bytes('12 00')), 'ZDS_RECORD', 'holds no ack');
  });

  test('an error of any length and any characters fits a record and keeps its beginning', () => {
    const long = fc.string({ unit: 'binary', maxLength: 3000, size: 'max' });
    fc.assert(
      fc.property(long, (error) => {
        const record = encodeZdsAck(error);
        assert.ok(record.length <= ZDS_RECORD_MAX_BYTES);
        const decoded = decodeZdsAck(record);
        assert.equal(decoded.kind, 'ack');
        if (decoded.kind !== 'ack') return;
        assert.ok(error.toWellFormed().startsWith(decoded.error));
        // What was cut away did not fit: at most three bytes are left unused before a character of four.
        if (decoded.error.length < error.length) assert.ok(record.length > ZDS_RECORD_MAX_BYTES - 4);
      }),
      { numRuns: 60 },
    );
    assert.equal(encodeZdsAck('\ud800'.repeat(2000)).length <= ZDS_RECORD_MAX_BYTES, true);
  });
});

describe('whatever arrives', () => {
  const uid = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).filter((text) => text.isWellFormed());
  const word = fc.string({ maxLength: 60 });
  const request: fc.Arbitrary<ZdsRequest> = fc.oneof(
    fc.tuple(uid, word, word, word).map(([uid, name, namespace, serviceAccount]) => {
      return { kind: 'add' as const, uid, pod: { name, namespace, serviceAccount } };
    }),
    fc.tuple(fc.constantFrom('keep' as const, 'del' as const), uid).map(([kind, uid]) => ({ kind, uid })),
    fc.constant({ kind: 'snapshot-sent' as const }),
  );

  test('a request that was encoded decodes to itself', () => {
    fc.assert(
      fc.property(request, (sent) => {
        assert.deepEqual(decodeZdsRequest(encodeZdsRequest(sent), sent.kind === 'add' ? 1 : 0), sent);
      }),
    );
  });

  test('no bytes make a decoder throw, and what it takes is complete', () => {
    const damaged = fc.tuple(request, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([sent, at, byte]) => {
      const record = Uint8Array.from(encodeZdsRequest(sent));
      record[at % record.length] = byte;
      return record;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 1100 }), damaged), fc.nat(2), (record, descriptors) => {
        const decoded = decodeZdsRequest(record, descriptors);
        if (decoded.kind === 'refused') assert.ok(decoded.reason.length > 0);
        else assert.equal(descriptors, decoded.kind === 'add' ? 1 : 0);
        if ('uid' in decoded) assert.notEqual(decoded.uid, '');
        decodeZdsHello(record);
        decodeZdsAck(record);
      }),
      { numRuns: 2000 },
    );
  });
});

function bytes(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replaceAll(' ', ''));
}

function assertRefused(decoded: { readonly kind: string }, code: string, reason: string): void {
  assert.equal(decoded.kind, 'refused');
  const refusal = decoded as ZdsRefusal;
  assert.equal(refusal.code, code);
  assert.ok(refusal.reason.includes(reason), refusal.reason);
}
