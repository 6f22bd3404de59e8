/**
 * ALPN (RFC 7301): one protocol is offered, and a client that offers others only is refused with the alert
 * `no_application_protocol`. OpenSSL keeps the addresses given here for as long as any context lives, so none is freed.
 */
import { assert } from '@ambit/base/assert';
import { openssl, registerCallback } from './ffi.ts';
import { ALPN_NAMES_MAX } from './limits.ts';
import { Region } from './region.ts';

export interface AlpnList {
  readonly address: number;
  readonly lengthBytes: number;
}

const SLOT_BYTES = 256;
const OPENSSL_NPN_NEGOTIATED = 1;
const SSL_TLSEXT_ERR_OK = 0;
const SSL_TLSEXT_ERR_ALERT_FATAL = 2;
const CALLBACK =
  'int ambit_alpn_select(uint64 ssl, uint64 out, uint64 out_length, uint64 offered, uint32 offered_length, uint64 argument)';

const region = Region.map(ALPN_NAMES_MAX * SLOT_BYTES);
const lists = new Map<string, AlpnList>();
let callbackAddress: number | undefined;

/** The one protocol in wire form: a length byte, then the name. */
export function alpnList(protocol: string): AlpnList {
  const known = lists.get(protocol);
  if (known !== undefined) return known;
  const name = Buffer.from(protocol, 'latin1');
  assert(name.length > 0 && name.length < SLOT_BYTES, 'an ALPN name has 1 to 255 bytes');
  assert(lists.size < ALPN_NAMES_MAX, `a program uses at most ${ALPN_NAMES_MAX} ALPN names`);
  const offset = lists.size * SLOT_BYTES;
  region.bytes[offset] = name.length;
  region.bytes.set(name, offset + 1);
  const list = { address: region.at(offset, name.length + 1), lengthBytes: name.length + 1 };
  lists.set(protocol, list);
  return list;
}

/** Makes `context` select that protocol alone. One callback serves every context: its argument is the list to select from. */
export function selectAlpn(context: number, wanted: AlpnList): void {
  callbackAddress ??= registerCallback(CALLBACK, select);
  openssl.SSL_CTX_set_alpn_select_cb(context, callbackAddress, wanted.address);
}

/** Called by OpenSSL within SSL_do_handshake, on this thread. It must never throw (design, FFI rule 3). */
function select(...[, out, outLength, offered, offeredLength, wanted]: number[]): number {
  try {
    const wantedLength = (region.bytes[(wanted as number) - region.address] as number) + 1;
    const verdict = openssl.SSL_select_next_proto(
      out as number,
      outLength as number,
      wanted as number,
      wantedLength,
      offered as number,
      offeredLength as number,
    );
    return verdict === OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  } catch {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
}
