/**
 * What a capture says about the wire: which words crossed it, and whether all that crossed a port was TLS. Streams are
 * put together by sequence number and walked record by record (RFC 8446 section 5.1), so nothing hides between packets.
 */

export interface WireReport {
  /** TCP segments that carried bytes. */
  readonly segments: number;
  /** The words were in some stream. */
  readonly wordsSeen: boolean;
  /** On the port, both directions. */
  readonly tlsRecords: number;
  /** Bytes on the port that are no TLS record. */
  readonly strayBytes: number;
  /** Bytes of streams that touch the port at neither end. */
  readonly otherBytes: number;
}

const ETHERNET_BYTES = 14;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_TCP = 6;
const RECORD_HEADER_BYTES = 5;
const RECORD_MAX_BYTES = 16 * 1024 + 256;

interface Segment {
  readonly stream: string;
  readonly onPort: boolean;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

interface Stream {
  readonly onPort: boolean;
  readonly parts: Uint8Array[];
  nextSequence: number;
}

export class WireWatch {
  readonly #port: number;
  readonly #streams = new Map<string, Stream>();
  #segments = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** A frame with its Ethernet header, in the order of the wire. */
  frame(frame: Uint8Array): void {
    const segment = parseSegment(frame, this.#port);
    if (segment === null) return;
    this.#segments += 1;
    let stream = this.#streams.get(segment.stream);
    if (stream === undefined) {
      stream = { onPort: segment.onPort, parts: [], nextSequence: segment.sequence };
      this.#streams.set(segment.stream, stream);
    }
    // Sent again: only what is new of it counts.
    const known = (stream.nextSequence - segment.sequence) >>> 0;
    const fresh = known > 0x7fffffff ? segment.payload : segment.payload.subarray(known);
    if (fresh.length === 0) return;
    stream.parts.push(fresh.slice());
    stream.nextSequence = (segment.sequence + segment.payload.length) >>> 0;
  }

  report(words: string): WireReport {
    const report = { segments: this.#segments, wordsSeen: false, tlsRecords: 0, strayBytes: 0, otherBytes: 0 };
    for (const { onPort, parts } of this.#streams.values()) {
      const bytes = Buffer.concat(parts);
      if (bytes.includes(words)) report.wordsSeen = true;
      if (!onPort) report.otherBytes += bytes.length;
      else {
        const { records, strayBytes } = tlsRecords(bytes);
        report.tlsRecords += records;
        report.strayBytes += strayBytes;
      }
    }
    return report;
  }
}

/** Null for all but IPv4 TCP with a payload. */
function parseSegment(frame: Uint8Array, port: number): Segment | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < ETHERNET_BYTES + 40 || view.getUint16(12) !== ETHERTYPE_IPV4) return null;
  if (view.getUint8(ETHERNET_BYTES + 9) !== PROTOCOL_TCP) return null;
  const tcpAt = ETHERNET_BYTES + (view.getUint8(ETHERNET_BYTES) & 0xf) * 4;
  // Large segments may leave the total length at 0; then the frame is the segment.
  const totalBytes = view.getUint16(ETHERNET_BYTES + 2) || frame.length - ETHERNET_BYTES;
  const end = Math.min(frame.length, ETHERNET_BYTES + totalBytes);
  if (tcpAt + 20 > end) return null;
  const payloadAt = tcpAt + (view.getUint8(tcpAt + 12) >> 4) * 4;
  if (payloadAt >= end) return null;
  const [sourcePort, targetPort] = [view.getUint16(tcpAt), view.getUint16(tcpAt + 2)];
  const addresses = Buffer.from(frame.subarray(ETHERNET_BYTES + 12, ETHERNET_BYTES + 20)).toString('hex');
  return {
    stream: `${addresses} ${sourcePort} ${targetPort}`,
    onPort: sourcePort === port || targetPort === port,
    sequence: view.getUint32(tcpAt + 4),
    payload: frame.subarray(payloadAt, end),
  };
}

/** Whole records from the start; what follows the last of them is stray, but for one that was cut by the end. */
function tlsRecords(bytes: Buffer): { records: number; strayBytes: number } {
  let records = 0;
  let at = 0;
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const type = bytes.readUInt8(at);
    const version = bytes.readUInt16BE(at + 1);
    const length = bytes.readUInt16BE(at + 3);
    if (type < 20 || type > 23 || version < 0x0301 || version > 0x0303 || length > RECORD_MAX_BYTES) break;
    const next = at + RECORD_HEADER_BYTES + length;
    if (next > bytes.length) return { records, strayBytes: 0 };
    records += 1;
    at = next;
  }
  return { records, strayBytes: bytes.length - at };
}
