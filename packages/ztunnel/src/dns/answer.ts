/**
 * Answers: our own, and those of upstreams. They are written here, for `dns-packet` does not compress names, and the
 * addresses of a headless service would hardly ever fit a datagram.
 */
import { Buffer } from 'node:buffer';
import { ANSWER_TTL_SECONDS, UDP_ANSWER_BYTES_DEFAULT } from './limits.ts';
import { AA, CD, CLASS_IN, HEADER_BYTES, OPCODE_MASK, QR, RA, RCODE_MASK, RD, TC, viewOf } from './message.ts';
import type { Edns, Query } from './query.ts';

const TYPE_CNAME = 5;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const TYPE_OPT = 41;
const OPT_BYTES = 11;
/** Name pointer, type, class, TTL, length. */
const RECORD_HEAD_BYTES = 12;

export interface LocalAnswer {
  readonly rcode: number;
  readonly isAuthoritative: boolean;
  /** The name of the addresses: the question's, or its first labels, for which it then is an alias. */
  readonly name: string;
  readonly isAlias: boolean;
  /** Of 4 or 16 bytes. */
  readonly addresses: readonly Uint8Array[];
}

/** Says so (TC) when not all of it fits into `bytesMax`. */
export function writeAnswer(query: Query, answer: LocalAnswer, bytesMax: number): Uint8Array {
  const { edns, questionEnd } = query;
  const alias = answer.isAlias ? firstLabels(query, answer.name) : null;
  const records = [
    ...(alias === null ? [] : [{ type: TYPE_CNAME, data: alias }]),
    ...answer.addresses.map((data) => ({ type: data.length === 4 ? TYPE_A : TYPE_AAAA, data })),
  ];
  const room = bytesMax - (edns === null ? 0 : OPT_BYTES);
  let wanted = questionEnd;
  let count = 0;
  for (const { data } of records) {
    if (wanted + RECORD_HEAD_BYTES + data.length > room) break;
    wanted += RECORD_HEAD_BYTES + data.length;
    count += 1;
  }
  const out = Buffer.alloc(wanted + OPT_BYTES);
  out.set(query.bytes.subarray(0, questionEnd));
  const kept = out.readUInt16BE(2) & (RD | CD);
  const isWhole = count === records.length;
  const flags = QR | RA | kept | (answer.isAuthoritative ? AA : 0) | (isWhole ? 0 : TC) | (answer.rcode & RCODE_MASK);
  out.writeUInt16BE(flags, 2);
  writeCounts(out, 1, count, edns === null ? 0 : 1);
  let at = questionEnd;
  for (const { type, data } of records.slice(0, count)) {
    // Addresses behind an alias are of the name that its record ends with.
    const ownerAt = alias === null || type === TYPE_CNAME ? HEADER_BYTES : questionEnd + RECORD_HEAD_BYTES;
    at = writeRecord(out, at, ownerAt, type, data);
  }
  return out.subarray(0, edns === null ? at : writeOpt(out, at, edns));
}

export function writeError(query: Query, rcode: number): Uint8Array {
  const answer = { rcode, isAuthoritative: false, name: query.name, isAlias: false, addresses: [] };
  return writeAnswer(query, answer, query.questionEnd + OPT_BYTES);
}

/** That a message from an upstream answers this query, sent with this id. The name may come back in another spelling. */
export function isAnswerTo(query: Query, id: number, bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < query.questionEnd) return false;
  const view = viewOf(bytes, offset, length);
  if (view.getUint16(0) !== id || (view.getUint16(2) & (QR | OPCODE_MASK)) !== QR || view.getUint16(4) !== 1) {
    return false;
  }
  for (let i = HEADER_BYTES; i < query.questionEnd; i += 1) {
    const [asked, told] = [query.bytes[i]!, bytes[offset + i]!];
    const isInName = i < query.questionEnd - 4;
    if (asked !== told && !(isInName && lowerCase(asked) === lowerCase(told))) return false;
  }
  return true;
}

/** An upstream's answer, copied for the client: under its own id, and not as of an authority. */
export function relayAnswer(query: Query, answer: Uint8Array, bytesMax: number): Uint8Array {
  const isWhole = answer.length <= bytesMax;
  const out = Buffer.from(isWhole ? answer : answer.subarray(0, query.questionEnd));
  out.writeUInt16BE(query.id, 0);
  out.writeUInt16BE((out.readUInt16BE(2) & ~AA) | RA | (isWhole ? 0 : TC), 2);
  if (!isWhole) writeCounts(out, 1, 0, 0);
  return out;
}

/** Of a message that `isAnswerTo` took. */
export function rcodeOf(answer: Uint8Array): number {
  return answer[3]! & RCODE_MASK;
}

export function isTruncated(answer: Uint8Array): boolean {
  return (answer[2]! & (TC >> 8)) !== 0;
}

export function answerCount(answer: Uint8Array): number {
  return viewOf(answer, 6, 2).getUint16(0);
}

/** As they stand in the question, ended by the root. */
function firstLabels(query: Query, name: string): Uint8Array {
  let at = HEADER_BYTES;
  for (let left = name.split('.').length; left > 0; left -= 1) at += 1 + query.bytes[at]!;
  const labels = new Uint8Array(at - HEADER_BYTES + 1);
  labels.set(query.bytes.subarray(HEADER_BYTES, at));
  return labels;
}

function writeRecord(out: Buffer, at: number, ownerAt: number, type: number, data: Uint8Array): number {
  out.writeUInt16BE(0xc000 | ownerAt, at);
  out.writeUInt16BE(type, at + 2);
  out.writeUInt16BE(CLASS_IN, at + 4);
  out.writeUInt32BE(ANSWER_TTL_SECONDS, at + 6);
  out.writeUInt16BE(data.length, at + 10);
  out.set(data, at + RECORD_HEAD_BYTES);
  return at + RECORD_HEAD_BYTES + data.length;
}

/** Version and DO are the client's, as Istio's ztunnel has it. */
function writeOpt(out: Buffer, at: number, { payloadBytes, version, dnssecOk }: Edns): number {
  out.writeUInt8(0, at);
  out.writeUInt16BE(TYPE_OPT, at + 1);
  out.writeUInt16BE(Math.max(payloadBytes, UDP_ANSWER_BYTES_DEFAULT), at + 3);
  out.writeUInt8(0, at + 5);
  out.writeUInt8(version, at + 6);
  out.writeUInt16BE(dnssecOk ? 0x8000 : 0, at + 7);
  out.writeUInt16BE(0, at + 9);
  return at + OPT_BYTES;
}

function writeCounts(out: Buffer, questions: number, answers: number, additionals: number): void {
  out.writeUInt16BE(questions, 4);
  out.writeUInt16BE(answers, 6);
  out.writeUInt16BE(0, 8);
  out.writeUInt16BE(additionals, 10);
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
