/** What travels between the two ends of a simulated connection, in order. */
import type { Certificate } from './tls.ts';

export type TlsMessage =
  | { readonly is: 'clientHello'; readonly alpn: string }
  | {
      readonly is: 'serverFlight';
      readonly alpn: string;
      readonly chain: readonly Certificate[];
      readonly wantsCertificate: boolean;
    }
  | { readonly is: 'clientFlight'; readonly chain: readonly Certificate[] }
  | { readonly is: 'alert'; readonly reason: string };

export type Segment =
  /** The server's kernel has the connection. */
  | { readonly kind: 'open' }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'tls'; readonly message: TlsMessage }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' };

/** How a handshake message looks to a peer that does not speak TLS: the start of a record. */
export const TLS_RECORD_BYTES = Uint8Array.of(0x16, 0x03, 0x01, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00);
