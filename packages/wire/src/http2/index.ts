/** HTTP/2 (RFC 9113) for clients and servers, sans-IO: see `types.ts` for the contract. */
export { http2ErrorName } from './errors.ts';
export { Http2Session } from './session.ts';
export { Http2Stream } from './stream.ts';
export {
  FRAME_HEADER_BYTES,
  type HeaderList,
  Http2ErrorCode,
  type Http2Handler,
  type Http2Options,
  type Http2StreamLike,
  type Http2Transport,
} from './types.ts';
