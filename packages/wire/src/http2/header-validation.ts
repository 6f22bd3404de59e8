/**
 * Which messages are well-formed (RFC 9113 sections 8.2 and 8.3; RFC 9110 section 5 for names and values). As strict as
 * nghttp2: a name is a token, a value holds no control character but TAB and no white space at its ends.
 *
 * Left to the layer above, which knows whether it forwards: the form of `:authority`, and whether `host` agrees with it.
 */
import type { HeaderList } from './types.ts';

/** What the session has to know of a well-formed message; null where it is malformed. */
export interface MessageFacts {
  /** Requests: the method; responses and trailers: ''. */
  readonly method: string;
  /** Responses; 0 otherwise. */
  readonly status: number;
  /** -1 without content-length. */
  readonly contentLengthBytes: number;
}

export type MessageKind = 'request' | 'response' | 'trailers';

export function checkMessage(headers: HeaderList, kind: MessageKind): MessageFacts | null {
  const regularStart = pseudoHeadersEnd(headers);
  const contentLengthBytes = checkRegularHeaders(headers, regularStart);
  if (contentLengthBytes === MALFORMED) return null;
  if (kind === 'request') {
    const method = checkRequestPseudo(headers, regularStart);
    return method === null ? null : { method, status: 0, contentLengthBytes };
  }
  if (kind === 'response') {
    const status = checkResponsePseudo(headers, regularStart);
    return status === 0 ? null : { method: '', status, contentLengthBytes };
  }
  return regularStart === 0 ? { method: '', status: 0, contentLengthBytes } : null;
}

/** Trailers have no pseudo-headers; a new request has. */
export function hasPseudoHeaders(headers: HeaderList): boolean {
  return pseudoHeadersEnd(headers) > 0;
}

const MALFORMED = -2;
const NO_LENGTH = -1;

function pseudoHeadersEnd(headers: HeaderList): number {
  let at = 0;
  while (at < headers.length && (headers[at] as string).charCodeAt(0) === COLON) at += 2;
  return at;
}

/** The content-length, NO_LENGTH or MALFORMED. A pseudo-header here came too late: its colon is no token. */
function checkRegularHeaders(headers: HeaderList, start: number): number {
  let contentLengthBytes = NO_LENGTH;
  for (let i = start; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    if (!isFieldName(name) || !isFieldValue(value)) return MALFORMED;
    switch (name) {
      case 'connection':
      case 'proxy-connection':
      case 'keep-alive':
      case 'transfer-encoding':
      case 'upgrade':
        return MALFORMED;
      case 'te':
        if (value.toLowerCase() !== 'trailers') return MALFORMED;
        break;
      case 'content-length': {
        const bytes = parseContentLength(value);
        if (bytes === MALFORMED || (contentLengthBytes !== NO_LENGTH && contentLengthBytes !== bytes)) return MALFORMED;
        contentLengthBytes = bytes;
        break;
      }
    }
  }
  return contentLengthBytes;
}

function checkRequestPseudo(headers: HeaderList, end: number): string | null {
  let method: string | null = null;
  let scheme: string | null = null;
  let path: string | null = null;
  let authority: string | null = null;
  for (let i = 0; i < end; i += 2) {
    const value = headers[i + 1] as string;
    // Not one of them may be empty: where nothing is meant, the field is left out (section 8.3.1).
    if (value === '' || !isFieldValue(value)) return null;
    const name = headers[i] as string;
    if (name === ':method' && method === null && isToken(value)) method = value;
    else if (name === ':scheme' && scheme === null) scheme = value;
    else if (name === ':path' && path === null) path = value;
    else if (name === ':authority' && authority === null) authority = value;
    else return null;
  }
  if (method === 'CONNECT') return scheme === null && path === null && authority !== null ? method : null;
  if (method === null || scheme === null || path === null) return null;
  const hasPath = path.charCodeAt(0) === SLASH || (path === '*' && method === 'OPTIONS');
  const isHttp = scheme === 'http' || scheme === 'https';
  if (isHttp && (!hasPath || authority?.includes('@') === true)) return null;
  return method;
}

/** 0: malformed. 101 has no meaning in HTTP/2 (section 8.6). */
function checkResponsePseudo(headers: HeaderList, end: number): number {
  if (end !== 2 || headers[0] !== ':status') return 0;
  const text = headers[1] as string;
  if (text.length !== 3) return 0;
  const status = parseContentLength(text);
  return status < 100 || status === 101 ? 0 : status;
}

/** Digits only, and no more than a number holds exactly. */
function parseContentLength(value: string): number {
  if (value.length === 0 || value.length > 15) return MALFORMED;
  let bytes = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return MALFORMED;
    bytes = bytes * 10 + digit;
  }
  return bytes;
}

const COLON = 0x3a;
const SLASH = 0x2f;
const TAB = 0x09;
const SPACE = 0x20;

/** Characters of a token; NAME leaves out upper case, which HTTP/2 does not have in names. */
const TOKEN = characterSet("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
const NAME = characterSet("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");

function isFieldName(name: string): boolean {
  return name.length > 0 && consistsOf(name, NAME);
}

function isToken(text: string): boolean {
  return text.length > 0 && consistsOf(text, TOKEN);
}

function consistsOf(text: string, set: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f || set[code] === 0) return false;
  }
  return true;
}

function isFieldValue(value: string): boolean {
  const last = value.length - 1;
  for (let i = 0; i <= last; i++) {
    const code = value.charCodeAt(i);
    if (code > SPACE) {
      if (code === 0x7f) return false;
    } else if ((code !== SPACE && code !== TAB) || i === 0 || i === last) {
      return false;
    }
  }
  return true;
}

function characterSet(characters: string): Uint8Array {
  const set = new Uint8Array(128);
  for (const character of characters) set[character.charCodeAt(0)] = 1;
  return set;
}
