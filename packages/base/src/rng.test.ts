import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { seededRng, Xoshiro128 } from './rng.ts';

test('the words are those of the reference implementation (xoshiro128starstar.c 1.1, state 1 2 3 4)', () => {
  const rng = new Xoshiro128([1, 2, 3, 4]);
  const words = Array.from({ length: 10 }, () => rng.integer(2 ** 32));
  assert.deepEqual(
    words,
    [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
  );
});

test('bytes are the words in little-endian order, the last one cut', () => {
  assert.deepEqual([...new Xoshiro128([1, 2, 3, 4]).bytes(6)], [0x00, 0x2d, 0, 0, 0, 0]);
  assert.deepEqual([...new Xoshiro128([1, 2, 3, 4]).bytes(1)], [0x00]);
  assert.equal(new Xoshiro128([1, 2, 3, 4]).bytes(0).length, 0);
});

test('a state of zeros and bounds out of range are refused', () => {
  assert.throws(() => new Xoshiro128([0, 0, 0, 0]), /assertion failed/);
  for (const below of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
    assert.throws(() => seededRng(1).integer(below), /assertion failed/);
  }
});

test('the same seed gives the same sequence, another seed another one', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const draw = (of: number): Uint8Array => seededRng(of).bytes(32);
      assert.deepEqual(draw(seed), draw(seed));
      assert.notDeepEqual(draw(seed), draw(seed + 1));
    }),
  );
});

test('every result is inside its bounds', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, below) => {
      const rng = seededRng(seed);
      const whole = rng.integer(below);
      const fraction = rng.next();
      assert.ok(Number.isInteger(whole) && whole >= 0 && whole < below);
      assert.ok(fraction >= 0 && fraction < 1);
    }),
  );
});

test('results are spread evenly: no bucket is off by more than six standard deviations', () => {
  const draws = 60_000;
  const buckets = 6;
  const tolerance = 6 * Math.sqrt(draws * (1 / buckets) * (1 - 1 / buckets));
  for (const seed of [0, 1, 42, 0xffffffff]) {
    const rng = seededRng(seed);
    const byInteger = new Array<number>(buckets).fill(0);
    const byFraction = new Array<number>(buckets).fill(0);
    for (let i = 0; i < draws; i++) {
      const whole = rng.integer(buckets);
      const part = Math.floor(rng.next() * buckets);
      byInteger[whole] = (byInteger[whole] as number) + 1;
      byFraction[part] = (byFraction[part] as number) + 1;
    }
    for (const count of [...byInteger, ...byFraction]) assert.ok(Math.abs(count - draws / buckets) < tolerance);
  }
});
