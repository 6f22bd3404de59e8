/**
 * Kept inputs for fuzzing, and a bounded, seeded loop over their mutations. A corpus is a folder of `.hex` files: one
 * input a line, blanks ignored, `#` begins a comment. `FUZZ_SEED` repeats a run, `FUZZ_ITERATIONS` lengthens it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type Rng, seededRng } from '@ambit/base/rng';

const ITERATIONS_DEFAULT = 20_000;
const INPUT_MAX_BYTES = 4096;

export function readCorpus(name: string): Uint8Array[] {
  const folder = new URL(`./${name}/`, import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith('.hex'));
  return files.sort().flatMap((file) => parseHexLines(readFileSync(new URL(file, folder), 'utf8')));
}

/** Calls `check` with every input as it is, then with mutations of them; a failure says which seed and input it was. */
export function fuzz(inputs: readonly Uint8Array[], check: (input: Uint8Array, rng: Rng) => void): void {
  const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  const iterations = Number(process.env.FUZZ_ITERATIONS ?? ITERATIONS_DEFAULT);
  const rng = seededRng(seed);
  for (let i = 0; i < inputs.length + iterations; i += 1) {
    const input = i < inputs.length ? inputs[i]! : mutate(inputs, rng);
    try {
      check(input, rng);
    } catch (cause) {
      const hex = Buffer.from(input).toString('hex');
      throw new Error(`FUZZ_SEED=${seed} fails at input ${i}: ${hex}\n${cause}`, { cause });
    }
  }
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
}

function parseHexLines(text: string): Uint8Array[] {
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  return lines.filter((line) => line !== '').map(fromHex);
}

function mutate(inputs: readonly Uint8Array[], rng: Rng): Uint8Array {
  if (rng.integer(20) === 0) return rng.bytes(rng.integer(64));
  let bytes = Array.from(pick(inputs, rng));
  for (let edits = 1 + rng.integer(4); edits > 0; edits -= 1) bytes = edit(bytes, inputs, rng);
  return Uint8Array.from(bytes.slice(0, INPUT_MAX_BYTES));
}

function edit(bytes: number[], inputs: readonly Uint8Array[], rng: Rng): number[] {
  const at = rng.integer(bytes.length + 1);
  switch (rng.integer(7)) {
    case 0:
      return bytes.map((byte, i) => (i === at ? rng.integer(256) : byte));
    case 1:
      return bytes.map((byte, i) => (i === at ? byte ^ (1 << rng.integer(8)) : byte));
    case 2:
      return bytes.slice(0, at);
    case 3:
      return bytes.toSpliced(at, 1 + rng.integer(4));
    case 4:
      return bytes.toSpliced(at, 0, ...rng.bytes(1 + rng.integer(4)));
    case 5:
      return [...bytes.slice(0, at), ...pick(inputs, rng)];
    default:
      return bytes.toSpliced(at, 0, ...bytes.slice(at, at + 1 + rng.integer(16)));
  }
}

function pick(inputs: readonly Uint8Array[], rng: Rng): Uint8Array {
  return inputs[rng.integer(inputs.length)]!;
}
