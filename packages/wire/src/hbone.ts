/**
 * HBONE's request: a plain CONNECT (RFC 9113 section 8.5) with the headers of Istio's ztunnel. The client builds it; the
 * server reads it strictly where it decides (method, authority) and tolerantly where it only informs.
 */
import { type Baggage, parseBaggage } from './baggage.ts';
import { type Forwarded, parseForwarded } from './forwarded.ts';
import type { HeaderList } from './http2/types.ts';
import { parseIpPort, parsePort } from './ip.ts';
import { AUTHORITY_MAX_BYTES, HOST_LABEL_MAX_BYTES, HOST_MAX_BYTES, NETWORK_MAX_BYTES } from './limits.ts';
import { parseTraceparent, type Traceparent } from './traceparent.ts';

export interface HboneRequest {
  /** `1.2.3.4:80`, `[2001:db8::1]:80` or `host:80`. */
  readonly authority: string;
  /** The values of the headers; empty: not sent. */
  readonly baggage: string;
  readonly forwarded: string;
  readonly traceparent: string;
  /** The network the call comes from; only inside another HBONE tunnel. */
  readonly forwardedNetwork: string;
}

export type HboneAuthority =
  | { readonly kind: 'ip'; readonly ip: string; readonly port: number }
  | { readonly kind: 'host'; readonly host: string; readonly port: number };

export interface HboneCall {
  readonly authority: HboneAuthority;
  readonly baggage: Baggage;
  readonly forwarded: Forwarded | null;
  readonly traceparent: Traceparent | null;
  /** Empty if absent. */
  readonly forwardedNetwork: string;
}

/** `code` is stable, for logs and metrics; `reason` is for a person. */
export interface HboneRefusal {
  readonly status: 400;
  readonly code: 'HBONE_METHOD' | 'HBONE_AUTHORITY' | 'HBONE_HEADERS';
  readonly reason: string;
}

export type HboneParseResult =
  | { readonly call: HboneCall; readonly refusal: null }
  | { readonly call: null; readonly refusal: HboneRefusal };

export function hboneRequestHeaders(request: HboneRequest): HeaderList {
  const headers = [':method', 'CONNECT', ':authority', request.authority];
  if (request.baggage !== '') headers.push('baggage', request.baggage);
  if (request.forwarded !== '') headers.push('forwarded', request.forwarded);
  if (request.traceparent !== '') headers.push('traceparent', request.traceparent);
  if (request.forwardedNetwork !== '') headers.push('x-forwarded-network', request.forwardedNetwork);
  return headers;
}

export function parseHboneRequest(headers: HeaderList): HboneParseResult {
  const lines = linesOf(headers);
  if (lines.method !== 'CONNECT') return refusal('HBONE_METHOD', 'only CONNECT is served here');
  if (lines.forbidden) return refusal('HBONE_HEADERS', 'a plain CONNECT has no scheme, path or protocol');
  const authority = parseHboneAuthority(lines.authority ?? '');
  if (authority === null) return refusal('HBONE_AUTHORITY', 'the authority is neither ip:port nor host:port');
  const network = lines.network ?? '';
  const call = {
    authority,
    baggage: parseBaggage(lines.baggage ?? ''),
    forwarded: parseForwarded(lines.forwarded ?? ''),
    traceparent: parseTraceparent(lines.traceparent ?? ''),
    forwardedNetwork: network.length > NETWORK_MAX_BYTES ? '' : network,
  };
  return { call, refusal: null };
}

/** Null: no port, port 0 or above 65535, userinfo, zone, or a host that is no DNS name. */
export function parseHboneAuthority(text: string): HboneAuthority | null {
  if (text.length > AUTHORITY_MAX_BYTES) return null;
  const address = parseIpPort(text);
  if (address !== null) return { kind: 'ip', ip: address.ip, port: address.port };
  const colon = text.lastIndexOf(':');
  if (colon < 0) return null;
  const host = text.slice(0, colon);
  const port = parsePort(text.slice(colon + 1));
  return port !== null && isHostName(host) ? { kind: 'host', host: host.toLowerCase(), port } : null;
}

const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/;
/** What `inet_aton` would read as part of an IPv4 address: `1.2.3`, `127.0.0.0x1`. No service may be called so. */
const NUMBER = /^(\d+|0[xX][0-9a-fA-F]*)$/;

function isHostName(host: string): boolean {
  if (host.length > HOST_MAX_BYTES) return false;
  const labels = host.split('.');
  return (
    labels.every((label) => label.length <= HOST_LABEL_MAX_BYTES && LABEL.test(label)) && !NUMBER.test(labels.at(-1)!)
  );
}

interface Lines {
  method: string | null;
  authority: string | null;
  baggage: string | null;
  forwarded: string | null;
  traceparent: string | null;
  network: string | null;
  forbidden: boolean;
}

/** Several lines of a name are one list (RFC 9110 section 5.3), and a list is no method, authority or traceparent. */
function linesOf(headers: HeaderList): Lines {
  const lines: Lines = {
    method: null,
    authority: null,
    baggage: null,
    forwarded: null,
    traceparent: null,
    network: null,
    forbidden: false,
  };
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const value = headers[i + 1]!;
    switch (headers[i]) {
      case ':method':
        lines.method = joined(lines.method, value);
        break;
      case ':authority':
        lines.authority = joined(lines.authority, value);
        break;
      case 'baggage':
        lines.baggage = joined(lines.baggage, value);
        break;
      case 'forwarded':
        lines.forwarded = joined(lines.forwarded, value);
        break;
      case 'traceparent':
        lines.traceparent = joined(lines.traceparent, value);
        break;
      case 'x-forwarded-network':
        lines.network = joined(lines.network, value);
        break;
      case ':scheme':
      case ':path':
      case ':protocol':
        lines.forbidden = true;
        break;
    }
  }
  return lines;
}

function joined(list: string | null, value: string): string {
  return list === null ? value : `${list},${value}`;
}

function refusal(code: HboneRefusal['code'], reason: string): HboneParseResult {
  return { call: null, refusal: { status: 400, code, reason } };
}
