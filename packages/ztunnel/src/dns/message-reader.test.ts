import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { MessageReader, withLength } from './message-reader.ts';

test('messages come out whole, however the stream is cut', () => {
  const messages = fc.array(fc.uint8Array({ minLength: 1, maxLength: 600 }), { maxLength: 5 });
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(withLength));
      const reader = new MessageReader(600);
      const got: Uint8Array[] = [];
      for (let at = 0, i = 0; at < stream.length; i += 1) {
        const length = Math.min(cuts[i % cuts.length]!, reader.wantedBytes, stream.length - at);
        const message = reader.take(stream, at, length);
        assert.ok(message !== 'bad length');
        if (message !== null) got.push(message);
        at += length;
      }
      assert.deepEqual(got, sent);
    }),
  );
});

test('a message of no bytes, or of too many, is none', () => {
  assert.equal(new MessageReader(512).take(Uint8Array.of(0, 0), 0, 2), 'bad length');
  assert.equal(new MessageReader(512).take(Uint8Array.of(2, 1), 0, 2), 'bad length');
  assert.equal(new MessageReader(512).take(Uint8Array.of(2, 0), 0, 2), null);
});

test('more than was asked for is a mistake of ours', () => {
  assert.throws(() => new MessageReader(512).take(Uint8Array.of(0, 1, 2), 0, 3), /credit/);
});
