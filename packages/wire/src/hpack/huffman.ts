/**
 * The Huffman code of RFC 7541 section 5.2 and appendix B. It is canonical (codes of one length ascend with the symbol),
 * so the lengths alone define it. Decoding walks the code tree four bits at a time: 256 inner nodes by 16 nibbles
 * are 16 KB, which stay in the first-level cache; no code is shorter than five bits, so a nibble ends at most one symbol.
 */

/** Bits of the code of each byte, by its value; the last is the end-of-string symbol. */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];

const EOS = 256;
const LONGEST_BITS = 30;
const HALF_BITS = 16;

export const HUFFMAN_BITS: Uint8Array = Uint8Array.from(LENGTHS);
export const HUFFMAN_CODES: Uint32Array = canonicalCodes();

/** Of a decoded string: no code is shorter than five bits. */
export function huffmanDecodedMaxBytes(length: number): number {
  return Math.floor((length * 8) / 5);
}

/** Bytes that `huffmanEncode` writes. */
export function huffmanEncodedBytes(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i += 1) bits += HUFFMAN_BITS[latin1CodeAt(text, i)]!;
  return (bits + 7) >>> 3;
}

/** A code unit above latin1 has no byte of its own: `?` stands for it, never a truncation, which could forge a line end. */
export function latin1CodeAt(text: string, i: number): number {
  const code = text.charCodeAt(i);
  return code > 0xff ? 0x3f : code;
}

/** Writes the coded text at `start`, padded with the head of EOS, and returns the position after it. */
export function huffmanEncode(text: string, out: Uint8Array, start: number): number {
  let at = start;
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < text.length; i += 1) {
    const symbol = latin1CodeAt(text, i);
    let bits = HUFFMAN_BITS[symbol]!;
    let code = HUFFMAN_CODES[symbol]!;
    if (bits > HALF_BITS) {
      // 7 pending bits and 30 new ones overflow an int32, so that long codes go in two halves.
      bits -= HALF_BITS;
      pending = (pending << bits) | (code >>> HALF_BITS);
      pendingBits += bits;
      while (pendingBits >= 8) {
        pendingBits -= 8;
        out[at++] = pending >>> pendingBits;
      }
      bits = HALF_BITS;
      code &= (1 << HALF_BITS) - 1;
    }
    pending = (pending << bits) | code;
    pendingBits += bits;
    while (pendingBits >= 8) {
      pendingBits -= 8;
      out[at++] = pending >>> pendingBits;
    }
  }
  if (pendingBits > 0) out[at++] = (pending << (8 - pendingBits)) | (0xff >>> pendingBits);
  return at;
}

/**
 * Returns the decoded length, or -1 for a code that does not exist, for EOS, or for padding that is not the head of EOS
 * or longer than seven bits. What does not fit into `out` is counted and checked but not kept.
 */
export function huffmanDecode(bytes: Uint8Array, start: number, length: number, out: Uint8Array): number {
  let written = 0;
  let state = 0;
  const end = start + length;
  for (let at = start; at < end; at += 1) {
    const octet = bytes[at]!;
    let step = STEPS[state | (octet >>> 4)]!;
    if ((step & EMITS) !== 0) {
      if (written < out.length) out[written] = step;
      written += 1;
    }
    state = (step >>> NEXT_SHIFT) << 4;
    step = STEPS[state | (octet & 0x0f)]!;
    if ((step & EMITS) !== 0) {
      if (written < out.length) out[written] = step;
      written += 1;
    }
    state = (step >>> NEXT_SHIFT) << 4;
  }
  return ACCEPTS[state >>> 4] === 1 ? written : -1;
}

function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(EOS + 1);
  let code = 0;
  for (let bits = 1; bits <= LONGEST_BITS; bits += 1) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol += 1) if (LENGTHS[symbol] === bits) codes[symbol] = code++;
  }
  return codes;
}

/** A step: symbol in the low byte, whether there is one, and the next state above. */
const EMITS = 0x100;
const NEXT_SHIFT = 16;
/** Inner nodes are numbered from 0 (the root); one more state is where every wrong code ends and stays. */
const NODES = EOS;
const FAILED = NODES;
const [STEPS, ACCEPTS] = buildStates();

function buildStates(): [Uint32Array, Uint8Array] {
  const { children, depths, onesOnly } = buildTree();
  const steps = new Uint32Array((NODES + 1) * 16).fill(FAILED << NEXT_SHIFT);
  for (let node = 0; node < NODES; node += 1) {
    for (let nibble = 0; nibble < 16; nibble += 1) steps[node * 16 + nibble] = walk(children, node, nibble);
  }
  const accepts = new Uint8Array(NODES + 1);
  for (let node = 0; node < NODES; node += 1) accepts[node] = onesOnly[node] === 1 && depths[node]! < 8 ? 1 : 0;
  return [steps, accepts];
}

function walk(children: Int32Array, from: number, nibble: number): number {
  let node = from;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const child = children[node * 2 + ((nibble >>> bit) & 1)]!;
    if (child >= 0) {
      node = child;
    } else {
      const symbol = ~child;
      if (symbol === EOS) return FAILED << NEXT_SHIFT;
      emitted = EMITS | symbol;
      node = 0;
    }
  }
  return (node << NEXT_SHIFT) | emitted;
}

/** Children are inner nodes, or leaves as the complement of their symbol: a full tree of 257 leaves has 256 inner nodes. */
function buildTree(): { children: Int32Array; depths: Uint8Array; onesOnly: Uint8Array } {
  const children = new Int32Array(NODES * 2);
  const depths = new Uint8Array(NODES);
  const onesOnly = new Uint8Array(NODES);
  onesOnly[0] = 1;
  let nodeCount = 1;
  for (let symbol = 0; symbol <= EOS; symbol += 1) {
    let node = 0;
    for (let bit = LENGTHS[symbol]! - 1; bit > 0; bit -= 1) {
      const one = (HUFFMAN_CODES[symbol]! >>> bit) & 1;
      const slot = node * 2 + one;
      if (children[slot] === 0) {
        children[slot] = nodeCount;
        depths[nodeCount] = depths[node]! + 1;
        onesOnly[nodeCount] = onesOnly[node]! & one;
        nodeCount += 1;
      }
      node = children[slot]!;
    }
    children[node * 2 + (HUFFMAN_CODES[symbol]! & 1)] = ~symbol;
  }
  return { children, depths, onesOnly };
}
