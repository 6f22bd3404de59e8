/**
 * Randomness as an argument, seeded so that a run can be repeated: for tests, the simulator and jitter. Not for keys,
 * nonces or anything a stranger must not guess: xoshiro128** (Blackman and Vigna 2018) is fast and predictable.
 */
import { assert } from './assert.ts';

export interface Rng {
  /** Uniform in [0, 1), with 53 bits. */
  next(): number;
  /** Uniform among 0 .. below - 1; `below` is at most 2^32. */
  integer(below: number): number;
  bytes(count: number): Uint8Array;
}

const TWO_32 = 2 ** 32;

export class Xoshiro128 implements Rng {
  readonly #state: Uint32Array;

  constructor(state: readonly [number, number, number, number]) {
    assert(
      state.some((word) => word !== 0),
      'a state of zeros only ever gives zeros',
    );
    this.#state = Uint32Array.from(state);
  }

  next(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  integer(below: number): number {
    assert(Number.isInteger(below) && below > 0 && below <= TWO_32, 'below is a whole number from 1 to 2^32');
    // Words of the last, incomplete run of `below` would favour small results.
    const usable = TWO_32 - (TWO_32 % below);
    let word = this.#word();
    while (word >= usable) word = this.#word();
    return word % below;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i += 4) {
      const word = this.#word();
      for (let j = 0; j < 4 && i + j < count; j++) bytes[i + j] = word >>> (8 * j);
    }
    return bytes;
  }

  #word(): number {
    const s = this.#state;
    const s0 = s[0] as number;
    const s1 = s[1] as number;
    const s2 = (s[2] as number) ^ s0;
    const s3 = (s[3] as number) ^ s1;
    s[0] = s0 ^ s3;
    s[1] = s1 ^ s2;
    s[2] = s2 ^ (s1 << 9);
    s[3] = rotateLeft(s3, 11);
    return Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
  }
}

/** Every seed, also 0 and neighbours, gives an unrelated sequence: it is spread by splitmix32 first. */
export function seededRng(seed: number): Rng {
  let x = seed >>> 0;
  const word = (): number => {
    x = (x + 0x9e3779b9) >>> 0;
    let z = x;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  return new Xoshiro128([word(), word(), word(), word()]);
}

function rotateLeft(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
