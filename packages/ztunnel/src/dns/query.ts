/**
 * Queries of strangers (RFC 1035 section 4, RFC 6891): within bounds, taken apart by `dns-packet`, and refused where that
 * throws. The bytes of the question are kept, since every answer begins with them.
 */
import { Buffer } from 'node:buffer';
import { QUERY_BYTES_MAX, QUERY_RECORDS_MAX, UDP_ANSWER_BYTES_DEFAULT, UDP_ANSWER_BYTES_MAX } from './limits.ts';
import {
  CD,
  CLASS_IN,
  copyBytes,
  decodeMessage,
  FORMERR,
  HEADER_BYTES,
  NOTIMP,
  OPCODE_MASK,
  QR,
  RA,
  RD,
  viewOf,
} from './message.ts';
import { queryTypeName } from './query-types.ts';

const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;

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

/** A header alone. */
function refusal(header: DataView, rcode: number): Uint8Array {
  const out = Buffer.alloc(HEADER_BYTES);
  out.writeUInt16BE(header.getUint16(0), 0);
  out.writeUInt16BE(QR | RA | (header.getUint16(2) & (OPCODE_MASK | RD | CD)) | rcode, 2);
  return out;
}
