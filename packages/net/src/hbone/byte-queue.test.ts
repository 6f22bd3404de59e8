import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HEADROOM_BYTES } from '../engine.ts';
import { ByteQueue } from './byte-queue.ts';

test('what goes in comes out in order, whatever the pieces, with room for a header before each', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 90_000 })), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(steps, (pairs) => {
      const queue = new ByteQueue();
      let written = 0;
      let read = 0;
      for (const [append, take] of pairs) {
        const bytes = Uint8Array.from({ length: append }, (_, i) => (written + i) % 251);
        queue.append(bytes, 0, append);
        written += append;
        for (let left = Math.min(take, queue.length); left > 0; ) {
          const { bytes: block, start, end } = queue.front();
          const count = Math.min(left, end - start);
          assert.ok(start >= HEADROOM_BYTES);
          block.fill(0xee, start - HEADROOM_BYTES, start);
          for (let i = 0; i < count; i++) if (block[start + i] !== (read + i) % 251) assert.fail('a byte out of order');
          queue.drop(count);
          read += count;
          left -= count;
        }
        assert.equal(queue.length, written - read);
      }
    }),
    { numRuns: 50 },
  );
});

test('an empty queue has no front, and no more than the front is dropped', () => {
  const queue = new ByteQueue();
  assert.throws(() => queue.front(), /not empty/);
  queue.append(new Uint8Array(3), 0, 3);
  assert.throws(() => queue.drop(4), /within the front/);
});
