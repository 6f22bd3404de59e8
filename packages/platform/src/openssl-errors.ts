/** OpenSSL's error queue, of which each thread has one that all connections share (design, FFI rule 1). */
import { openssl } from './ffi.ts';
import { Region } from './region.ts';

const TEXT_BYTES = 256;
const scratch = Region.map(4096);

/** Takes everything that is queued: `certificate verify failed; tlsv13 alert certificate required`, '' for nothing. */
export function drainTlsErrors(): string {
  const reasons: string[] = [];
  for (let error = openssl.ERR_get_error(); error !== 0; error = openssl.ERR_get_error()) {
    openssl.ERR_error_string_n(error, scratch.at(0, TEXT_BYTES), TEXT_BYTES);
    const reason = reasonOf(readText(scratch.bytes));
    if (!reasons.includes(reason)) reasons.push(reason);
  }
  return reasons.join('; ');
}

/** From `error:0A000086:SSL routines::certificate verify failed`, where the reason may be absent. */
function reasonOf(text: string): string {
  const parts = text.split(':');
  const reason = parts.slice(4).join(':');
  return reason === '' ? text : reason;
}

function readText(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
}
