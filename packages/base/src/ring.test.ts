import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { Ring } from './ring.ts';

test('a full ring refuses and keeps what it has', () => {
  const ring = new Ring<string>(2);
  assert.equal(ring.push('a'), true);
  assert.equal(ring.push('b'), true);
  assert.equal(ring.push('c'), false);
  assert.deepEqual([ring.shift(), ring.shift(), ring.shift()], ['a', 'b', undefined]);
});

test('a capacity that is no positive whole number is refused', () => {
  for (const capacity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new Ring(capacity), /assertion failed/);
  }
});

test('an item that was taken is not kept alive by the ring', async () => {
  const ring = new Ring<object>(4);
  const reference = new WeakRef(pushAndShift(ring));
  // A WeakRef is held until the end of the turn that made it.
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  assert.equal(reference.deref(), undefined);
  assert.equal(ring.length, 0);
});

function pushAndShift(ring: Ring<object>): object {
  ring.push({ large: new Uint8Array(1024) });
  return ring.shift() as object;
}

function collectGarbage(): void {
  // `--expose-gc` for this process only, from here on.
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

type Step = { readonly is: 'push'; readonly item: number } | { readonly is: 'shift' } | { readonly is: 'clear' };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ is: fc.constant('push' as const), item: fc.integer() }) },
  { weight: 4, arbitrary: fc.record({ is: fc.constant('shift' as const) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('clear' as const) }) },
);

test('any run of push, shift and clear agrees with an array', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 200 }), (capacity, steps) => {
      const ring = new Ring<number>(capacity);
      const model: number[] = [];
      for (const action of steps) {
        if (action.is === 'push') {
          assert.equal(ring.push(action.item), model.length < capacity);
          if (model.length < capacity) model.push(action.item);
        } else if (action.is === 'shift') {
          assert.equal(ring.shift(), model.shift());
        } else {
          ring.clear();
          model.length = 0;
        }
        assert.equal(ring.length, model.length);
        assert.equal(ring.peek(), model[0]);
      }
    }),
  );
});
