/** HPACK, header compression for HTTP/2 (RFC 7541): one decoder and one encoder per connection, sans-IO. */
export { HpackDecoder, type HpackResult } from './decoder.ts';
export { HpackEncoder } from './encoder.ts';
