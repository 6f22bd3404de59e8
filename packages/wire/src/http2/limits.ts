/** Bounds of the HTTP/2 engine that are not the owner's choice (those are in `Http2Options`). */

/** A header block may be twice the list it decodes to: Huffman can lengthen odd bytes, table updates take room. */
export const HEADER_BLOCK_PER_LIST = 2;
/** Below this a small list cap would refuse blocks of ordinary size, which can still be decoded and answered. */
export const HEADER_BLOCK_MIN_BYTES = 16_384;

/** Settings in one frame; ten are registered, nghttp2 takes 32. Bounds what is collected before it is read. */
export const SETTINGS_ENTRIES_MAX = 64;

/** Streams that the peer ended, remembered to tell "frame after the end" (an error) from "in flight while reset". */
export const ENDED_STREAMS_REMEMBERED = 32;

/** First size of the buffer for control frames; the headers of an ordinary request fit. */
export const CONTROL_BUFFER_BYTES = 1024;
/** Unused control buffers kept; more are in use only where the turns of sessions nest, or after a burst of closings. */
export const CONTROL_BUFFERS_KEPT = 16;
/** Control frames are written early when so many wait, so that one large read cannot pile them up. */
export const CONTROL_FLUSH_BYTES = 16_384;

/** Progress that pays for frames without any (budgets.ts): unspent credit beyond this is forgotten. */
export const PROGRESS_CREDIT_MAX = 8192;
/** A peer may return credit as often as twice (stream, connection) per so many bytes. */
export const PROGRESS_BYTES_PER_CREDIT = 1024;
