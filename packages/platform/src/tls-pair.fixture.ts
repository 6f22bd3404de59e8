/** Two ends of TLS in one process: what one writes is what the other reads, through memory BIOs that both share. */
import { openssl } from './ffi.ts';
import { drainTlsErrors, type NativeTlsContext, negotiationFailure, verifyFailure } from './openssl.ts';
import { Region } from './region.ts';

const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_WANT_WRITE = 3;
const scratch = Region.map(65_536);

export interface End {
  readonly ssl: number;
  /** The handshake ended well on this side. */
  done: boolean;
  /** Why it did not, in OpenSSL's words: what this side found, or the alert it was sent. */
  error: string | null;
  verify: string | null;
}

export interface TlsPair {
  readonly client: End;
  readonly server: End;
  free(): void;
}

/** Runs the handshake until neither side moves, then lets both read once, since TLS 1.3 refuses a client late. */
export function shakeHands(clientContext: NativeTlsContext, serverContext: NativeTlsContext): TlsPair {
  const [toServer, toClient] = [openssl.BIO_new(openssl.BIO_s_mem()), openssl.BIO_new(openssl.BIO_s_mem())];
  const client = makeEnd(clientContext, toClient, toServer, openssl.SSL_set_connect_state);
  const server = makeEnd(serverContext, toServer, toClient, openssl.SSL_set_accept_state);
  for (let turn = 0; turn < 6; turn++) {
    step(client, clientContext.alpn);
    step(server, serverContext.alpn);
  }
  return {
    client,
    server,
    free: () => {
      openssl.SSL_free(client.ssl);
      openssl.SSL_free(server.ssl);
      openssl.BIO_free(toServer);
      openssl.BIO_free(toClient);
    },
  };
}

/** What `to` reads of `text` written by `from`. */
export function transfer(from: End, to: End, text: string): string {
  const bytes = Buffer.from(text);
  scratch.bytes.set(bytes);
  openssl.ERR_clear_error();
  if (openssl.SSL_write(from.ssl, scratch.at(0, bytes.length), bytes.length) !== bytes.length) return drainTlsErrors();
  scratch.bytes.fill(0, 0, bytes.length);
  openssl.ERR_clear_error();
  const length = openssl.SSL_read(to.ssl, scratch.at(0, 4096), 4096);
  return length <= 0 ? drainTlsErrors() : Buffer.from(scratch.bytes.subarray(0, length)).toString();
}

/** One try to go on: shared with tests that drive a session over a socket. */
export function step(end: End, alpn: string): void {
  if (end.error !== null) return;
  openssl.ERR_clear_error();
  const result = end.done ? openssl.SSL_read(end.ssl, scratch.at(0, 4096), 4096) : openssl.SSL_do_handshake(end.ssl);
  const error = openssl.SSL_get_error(end.ssl, result);
  if (!end.done && result === 1) {
    end.done = true;
    end.error = negotiationFailure(end.ssl, alpn);
  } else if (result <= 0 && error !== SSL_ERROR_WANT_READ && error !== SSL_ERROR_WANT_WRITE) {
    end.error = drainTlsErrors() || `closed (${error})`;
    end.verify = verifyFailure(end.ssl);
  }
}

function makeEnd(context: NativeTlsContext, reads: number, writes: number, role: (ssl: number) => void): End {
  const ssl = openssl.SSL_new(context.address);
  openssl.BIO_up_ref(reads);
  openssl.BIO_up_ref(writes);
  openssl.SSL_set_bio(ssl, reads, writes);
  role(ssl);
  return { ssl, done: false, error: null, verify: null };
}
