/** The streams of a session by id, and what is known of those that are not there any more (RFC 9113 section 5.1). */
import { ENDED_STREAMS_REMEMBERED } from './limits.ts';
import type { Http2Stream } from './stream.ts';

export class StreamTable {
  /** Null while there are none: a connection is idle for most of its life. */
  #streams: Map<number, Http2Stream> | null = null;
  readonly #isServer: boolean;
  #recent: Http2Stream | null = null;
  #ended: number[] | null = null;
  #endedNext = 0;
  /** Highest id that was opened, by whichever side opens streams: always the client, since nothing is pushed. */
  lastId = 0;

  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  get size(): number {
    return this.#streams === null ? 0 : this.#streams.size;
  }

  get(id: number): Http2Stream | null {
    if (this.#recent !== null && this.#recent.id === id) return this.#recent;
    const stream = this.#streams?.get(id) ?? null;
    if (stream !== null) this.#recent = stream;
    return stream;
  }

  add(stream: Http2Stream): void {
    this.#streams ??= new Map();
    this.#streams.set(stream.id, stream);
    this.lastId = stream.id;
  }

  remove(stream: Http2Stream): void {
    this.#streams?.delete(stream.id);
    if (this.size === 0) this.#streams = null;
    if (this.#recent === stream) this.#recent = null;
  }

  values(): Iterable<Http2Stream> {
    return this.#streams === null ? [] : this.#streams.values();
  }

  /** Not used yet by the side that may use it, so no frame but HEADERS and PRIORITY may name it. */
  isIdle(id: number): boolean {
    return id % 2 === 0 || id > this.lastId;
  }

  /** An id that the peer may open now. */
  mayOpen(id: number): boolean {
    return this.#isServer && id % 2 === 1 && id > this.lastId;
  }

  /**
   * The peer said END_STREAM or RST_STREAM, so it must not send on this stream. Only the last few are remembered: of
   * others it is assumed that this side reset them and that the frame was under way.
   */
  noteEnded(id: number): void {
    this.#ended ??= [];
    this.#ended[this.#endedNext] = id;
    this.#endedNext = (this.#endedNext + 1) % ENDED_STREAMS_REMEMBERED;
  }

  wasEnded(id: number): boolean {
    return this.#ended?.includes(id) ?? false;
  }
}
