/**
 * Every bound of HBONE, with unit and reason. `as ztunnel` marks a number that Istio's ztunnel has too (reference,
 * Appendix A); `ours` one that ztunnel leaves unlimited.
 */

export interface HboneLimits {
  /** Announced when a stream opens. Ours, ztunnel announces 4 MiB: a stalled stream, or early data, pins this much. */
  readonly streamWindowInitialBytes: number;
  /** What a reader that keeps up grows to: as ztunnel's HTTP2_STREAM_WINDOW_SIZE. */
  readonly streamWindowMaxBytes: number;
  /** As ztunnel's HTTP2_CONNECTION_WINDOW_SIZE: four stalled streams of full size, or 64 of initial size. */
  readonly connectionWindowBytes: number;
  /** As ztunnel's HTTP2_FRAME_SIZE. Payloads are handed on in pieces, so a large frame needs no large buffer. */
  readonly frameSizeMaxBytes: number;
  /** As ztunnel. */
  readonly clientHeaderListMaxBytes: number;
  readonly serverHeaderListMaxBytes: number;
  /** The default of HPACK. */
  readonly headerTableMaxBytes: number;
  /** A list of 64 KiB needs three at the smallest frame size; the rest is for encoders that cut early. */
  readonly continuationsMax: number;
  /** A thousand resets a second: applications that reset their TCP connections make them too. */
  readonly resetsPer10sMax: number;
  /** A hundred a second; an honest peer sends one PING in ten seconds and few updates without progress. */
  readonly idleFramesPer10sMax: number;
  /** Some 20 KB of answers for a peer that asks and does not read. */
  readonly answersQueuedMax: number;

  /** As ztunnel's server: streams that a peer may have open on one connection. */
  readonly serverStreamsMax: number;
  /** Ours: connections one server holds; about what 2 GB carries idle. */
  readonly serverConnectionsMax: number;
  /** As ztunnel's POOL_MAX_STREAMS_PER_CONNECTION; the peer's own limit counts where it is lower. */
  readonly clientStreamsMax: number;
  /** Ours: live connections with one pool key, retired ones too; at 100 streams each this is 25,600 tunnels. */
  readonly connectionsPerKeyMax: number;
  /** Ours: connections of one pool; idle ones make room. */
  readonly poolConnectionsMax: number;
  /** Ours: tunnels of one key that wait for a connection. */
  readonly waitersPerKeyMax: number;
  /** Ours: a request refused unprocessed (GOAWAY, REFUSED_STREAM) goes to another connection this often in all. */
  readonly tunnelAttemptsMax: number;

  /** As ztunnel for TCP; ours also covers the TLS handshake, for which ztunnel has no limit. */
  readonly connectTimeoutMs: number;
  /** Ours: from the request to a connection for it, over all dials. Above one dial's, so that its error comes first. */
  readonly waitTimeoutMs: number;
  /** Ours: the server may itself wait 5 s for its workload and 10 s for its upstream. */
  readonly responseTimeoutMs: number;
  /** As ztunnel's POOL_UNUSED_RELEASE_TIMEOUT. */
  readonly idleReleaseMs: number;
  /** As ztunnel: before the first PING, and from each answer to the next. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Ours: for the last frames to leave after the session has ended; then the connection is aborted. */
  readonly closeGraceMs: number;

  /** Ours: bytes written beyond a stream's window. One window of the other leg, which had been promised already. */
  readonly unsentBytesMax: number;
}

export const HBONE_LIMITS: HboneLimits = Object.freeze({
  streamWindowInitialBytes: 256 * 1024,
  streamWindowMaxBytes: 4 * 1024 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  frameSizeMaxBytes: 1024 * 1024,
  clientHeaderListMaxBytes: 16 * 1024,
  serverHeaderListMaxBytes: 64 * 1024,
  headerTableMaxBytes: 4096,
  continuationsMax: 16,
  resetsPer10sMax: 10_000,
  idleFramesPer10sMax: 1000,
  answersQueuedMax: 1000,

  serverStreamsMax: 200,
  serverConnectionsMax: 65_536,
  clientStreamsMax: 100,
  connectionsPerKeyMax: 256,
  poolConnectionsMax: 16_384,
  waitersPerKeyMax: 4096,
  tunnelAttemptsMax: 4,

  connectTimeoutMs: 10_000,
  waitTimeoutMs: 15_000,
  responseTimeoutMs: 20_000,
  idleReleaseMs: 300_000,
  keepaliveIntervalMs: 10_000,
  keepaliveTimeoutMs: 20_000,
  closeGraceMs: 1000,

  unsentBytesMax: 5 * 1024 * 1024,
});

/** Bytes. Longest record of any protocol spoken over a record link (ZDS: 1 KiB). */
export const LINK_RECORD_MAX_BYTES = 4096;

/** Records taken from one link before the rest of the loop has its turn. */
export const LINK_RECORDS_PER_TURN = 16;

/** Until a record listener that could not accept tries again. */
export const ACCEPT_RETRY_MS = 100;
