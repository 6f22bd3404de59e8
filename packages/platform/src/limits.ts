/** Bounds of this package, each with its unit and reason. */

/** Chain, key or roots as text: a bundle of a hundred roots takes 200 KB; more is a mistake, and the memory is kept. */
export const PEM_BYTES_MAX = 1 << 20;

/** The chain that a peer may send in its handshake; a SPIFFE chain takes 2 to 4 KB. */
export const CERTIFICATE_LIST_BYTES_MAX = 64 * 1024;

/** ALPN names that one process demands (`h2`, `istio`): their memory is never freed. */
export const ALPN_NAMES_MAX = 8;

/** Longest SEQPACKET record sent; well below the default send buffer (net.core.wmem_default, 208 KB), which caps it. */
export const RECORD_BYTES_MAX = 64 * 1024;

/** Descriptors in one record: the kernel's own cap (SCM_MAX_FD). */
export const RECORD_FDS_MAX = 253;

/** Longest frame captured: a veth hands over segments of 64 KB that no wire would carry. */
export const FRAME_BYTES_MAX = 128 * 1024;

/** What a capture holds between two readings, so that a burst of a test is not lost. */
export const CAPTURE_BUFFER_BYTES = 16 << 20;

/** Longest datagram taken or sent: no UDP datagram is longer, whatever the family (RFC 768). */
export const DATAGRAM_BYTES_MAX = 65_535;
