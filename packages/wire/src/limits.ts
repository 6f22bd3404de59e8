/** Every bound of the codecs in this package that is not an option of its constructor. */

/** Bytes. RFC 9113 section 6.5.2: size of a header table before any SETTINGS_HEADER_TABLE_SIZE was acknowledged. */
export const HPACK_TABLE_DEFAULT_BYTES = 4096;

/** Bytes. The peer may offer more, but a table costs memory on every connection and gains little above the default. */
export const HPACK_ENCODER_TABLE_MAX_BYTES = 4096;

/** Entries of one name that the encoder compares with a value before it gives up and sends a literal. */
export const HPACK_SAME_NAME_SEARCH_MAX = 8;

/** Continuation octets of an integer (RFC 7541 section 5.1): values to 2^28, far above any block that is accepted. */
export const HPACK_INTEGER_CONTINUATIONS_MAX = 4;

/** Bytes. Below it a set-cookie value is short enough to be guessed through its compressed size. */
export const HPACK_SHORT_SECRET_BYTES = 20;

/** Bytes. RFC 1035 section 2.3.4. */
export const HOST_MAX_BYTES = 253;
export const HOST_LABEL_MAX_BYTES = 63;

/** Bytes. Longest name, colon, five digits of port; the longest IPv6 in brackets is far shorter. */
export const AUTHORITY_MAX_BYTES = HOST_MAX_BYTES + 6;

/** Bytes. What W3C Baggage section 3.3.2 asks every platform to carry; a longer one is treated as absent. */
export const BAGGAGE_MAX_BYTES = 8192;

/** List members, likewise from W3C Baggage; Istio sends at most seven. Members after these are not read. */
export const BAGGAGE_MEMBERS_MAX = 64;

/** Bytes. An address and a host name take less than 320; a longer one is treated as absent. */
export const FORWARDED_MAX_BYTES = 1024;

/** Bytes. A network's name in x-forwarded-network; Kubernetes labels, where it comes from, end at 63. */
export const NETWORK_MAX_BYTES = 255;

/** Bytes. The largest certificates in use (many names, post-quantum signatures) stay below 32 KiB. */
export const CERTIFICATE_MAX_BYTES = 65_536;

/** Bytes. SPIFFE ID specification section 2.3. */
export const URI_SAN_MAX_BYTES = 2048;

/** General names in one certificate; gateways carry a hundred or so. */
export const SAN_NAMES_MAX = 1024;

/** Bytes. Both sides of ZDS read into a buffer of this size; what is longer arrives cut and counts as broken. */
export const ZDS_RECORD_MAX_BYTES = 1024;

/** Bytes. As long as a SPIFFE id may be; the whole header of the PROXY protocol stays far below its 64 KiB. */
export const PROXY_IDENTITY_MAX_BYTES = URI_SAN_MAX_BYTES;
