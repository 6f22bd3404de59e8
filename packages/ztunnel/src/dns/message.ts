/**
 * DNS messages (RFC 1035 section 4, RFC 6891) as the proxy needs them: queries of strangers, taken apart by `dns-packet`
 * behind bounds of our own; and answers, written here because that library does not compress names, so that the addresses
 * of a headless service would hardly ever fit a datagram.
 */
import { Buffer } from 'node:buffer';
import { type DecodedPacket, decode } from 'dns-packet';
import {
  ANSWER_TTL_SECONDS,
  QUERY_BYTES_MAX,
  QUERY_RECORDS_MAX,
  UDP_ANSWER_BYTES_DEFAULT,
  UDP_ANSWER_BYTES_MAX,
} from './limits.ts';
import { queryTypeName } from './query-types.ts';

export const NOERROR = 0;
export const FORMERR = 1;
export const SERVFAIL = 2;
export const NXDOMAIN = 3;
export const NOTIMP = 4;

export const HEADER_BYTES = 12;
const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
const TYPE_CNAME = 5;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const TYPE_OPT = 41;
const CLASS_IN = 1;
const OPT_BYTES = 11;
/** Name pointer, type, class, TTL, length. */
const RECORD_HEAD_BYTES = 12;

const QR = 0x8000;
const OPCODE_MASK = 0x7800;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;
const CD = 0x0010;
const RCODE_MASK = 0x000f;

export interface Edns {
  readonly payloadBytes: number;
  readonly version: number;
  readonly dnssecOk: boolean;
}

export interface Query {
  /** The whole message, copied. */
  readonly bytes: Uint8Array;
  readonly id: number;
  /** The question's name as it was spelled. */
  readonly name: string;
  /** `A`; `UNKNOWN` where query-types.ts has no name for it. */
  readonly type: string;
  /** It asks for a host of the internet whose name has only letters, digits, `-`, `_` and `*`: a service may be meant. */
  readonly isForHost: boolean;
  /** Where the question ends. */
  readonly questionEnd: number;
  readonly edns: Edns | null;
}

export type ParsedQuery =
  | { readonly is: 'query'; readonly query: Query }
  /** Not to be acted on; the answer says why. */
  | { readonly is: 'refused'; readonly answer: Uint8Array }
  /** A response, or too short to have an id. Never answered over UDP: two proxies could go on for ever. */
  | { readonly is: 'response' | 'garbage' };

const HOST_NAME = /^[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*$/;

export function parseQuery(bytes: Uint8Array, offset: number, length: number): ParsedQuery {
  if (length < HEADER_BYTES) return { is: 'garbage' };
  const header = viewOf(bytes, offset, HEADER_BYTES);
  const flags = header.getUint16(2);
  if ((flags & QR) !== 0) return { is: 'response' };
  if ((flags & OPCODE_MASK) !== 0) return { is: 'refused', answer: refusal(header, NOTIMP) };
  const isBounded =
    length <= QUERY_BYTES_MAX &&
    header.getUint16(4) === 1 &&
    header.getUint16(6) + header.getUint16(8) + header.getUint16(10) <= QUERY_RECORDS_MAX;
  const query = isBounded ? takeApart(copyBytes(bytes, offset, length)) : null;
  return query === null ? { is: 'refused', answer: refusal(header, FORMERR) } : { is: 'query', query };
}

/** For a message whose question could not be read. */
export function refuse(bytes: Uint8Array, offset: number, rcode: number): Uint8Array {
  return refusal(viewOf(bytes, offset, HEADER_BYTES), rcode);
}

/** What a client takes over UDP. */
export function udpAnswerBytesMax({ edns }: Query): number {
  if (edns === null) return UDP_ANSWER_BYTES_DEFAULT;
  return Math.min(Math.max(edns.payloadBytes, UDP_ANSWER_BYTES_DEFAULT), UDP_ANSWER_BYTES_MAX);
}

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

/** Null when a stranger's message is not one: `dns-packet` throws then, or has read on behind the end. */
export function decodeMessage(bytes: Uint8Array): DecodedPacket | null {
  try {
    const packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    return decode.bytes > bytes.length ? null : packet;
  } catch {
    return null;
  }
}

/** Not `slice`, which copies nothing where a Buffer is given. */
export function copyBytes(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  return new Uint8Array(bytes.subarray(offset, offset + length));
}

function takeApart(bytes: Uint8Array): Query | null {
  const labels = countLabels(bytes);
  if (labels === null) return null;
  const packet = decodeMessage(bytes);
  const question = packet?.questions?.[0];
  if (packet === null || question === undefined) return null;
  let edns: Edns | null = null;
  for (const record of packet.additionals ?? []) {
    if (record.type !== 'OPT') continue;
    if (edns !== null || record.name !== '.') return null; // RFC 6891 section 6.1.1
    edns = { payloadBytes: record.udpPayloadSize, version: record.ednsVersion, dnssecOk: record.flag_do };
  }
  const view = viewOf(bytes, 0, bytes.length);
  const { name } = question;
  const type = queryTypeName(view.getUint16(labels.end));
  // A label with a dot in it, or with bytes that are no text, must not pass for another name.
  const isForHost =
    view.getUint16(labels.end + 2) === CLASS_IN && HOST_NAME.test(name) && name.split('.').length === labels.count;
  return { bytes, id: view.getUint16(0), name, type, isForHost, questionEnd: labels.end + 4, edns };
}

/** How many labels the question's name has and where it ends. Pointers make no sense in a first name. */
function countLabels(bytes: Uint8Array): { readonly count: number; readonly end: number } | null {
  let at = HEADER_BYTES;
  for (let count = 0; at < bytes.length && at - HEADER_BYTES < NAME_BYTES_MAX; count += 1) {
    const length = bytes[at]!;
    if (length > LABEL_BYTES_MAX) return null;
    at += 1 + length;
    if (length === 0) return at + 4 <= bytes.length ? { count, end: at } : null;
  }
  return null;
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

/** A header alone. */
function refusal(header: DataView, rcode: number): Uint8Array {
  const out = Buffer.alloc(HEADER_BYTES);
  out.writeUInt16BE(header.getUint16(0), 0);
  out.writeUInt16BE(QR | RA | (header.getUint16(2) & (OPCODE_MASK | RD | CD)) | rcode, 2);
  return out;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function viewOf(bytes: Uint8Array, offset: number, length: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, length);
}
