/**
 * The `forwarded` header of a CONNECT (RFC 7239): where the call came from and which service it named. Written as Istio's
 * ztunnel does, read tolerantly; a peer may claim anything in it, so it says nothing about identity.
 */
import { formatIpPort } from './ip.ts';
import { FORWARDED_MAX_BYTES } from './limits.ts';

export interface Forwarded {
  /** As written, without quotes: `10.1.2.3:4567`, `[2001:db8::1]:80`, `unknown`, `_hidden`; empty if absent. */
  readonly for: string;
  /** Lower case; empty if absent. */
  readonly host: string;
}

/** `host` is the service's name if the call was addressed to a service. */
export function formatForwarded(ip: string, port: number, host: string | null): string {
  const client = `for="${formatIpPort(ip, port)}"`;
  return host === null ? client : `${client};host=${host}`;
}

/** The first element, which is the hop nearest the client. Null: neither parameter in it, or too long. */
export function parseForwarded(text: string): Forwarded | null {
  if (text.length > FORWARDED_MAX_BYTES) return null;
  let client = '';
  let host = '';
  let at = 0;
  while (at < text.length) {
    const end = parameterEnd(text, at);
    const equals = text.indexOf('=', at);
    if (equals >= 0 && equals < end) {
      const name = text.slice(at, equals).trim().toLowerCase();
      const value = unquoted(text.slice(equals + 1, end).trim());
      if (name === 'for' && client === '') client = value;
      if (name === 'host' && host === '') host = value.toLowerCase();
    }
    if (text[end] === ',') break;
    at = end + 1;
  }
  return client === '' && host === '' ? null : { for: client, host };
}

/** Of the `;` or `,` outside quotes that ends the parameter, or the end of the text. */
function parameterEnd(text: string, start: number): number {
  let quoted = false;
  for (let i = start; i < text.length; i += 1) {
    const char = text[i];
    if (char === '"') quoted = !quoted;
    else if (char === '\\' && quoted) i += 1;
    else if ((char === ';' || char === ',') && !quoted) return i;
  }
  return text.length;
}

/** A quoted-string's content (RFC 9110 section 5.6.4); an unfinished one is no value. */
function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  if (value.length < 2 || !value.endsWith('"')) return '';
  return value.slice(1, -1).replace(/\\(.)/g, '$1');
}
