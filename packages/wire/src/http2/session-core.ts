/**
 * What the parts of a session share: windows, streams, the waiting ring, and the ways a stream or the session ends
 * (RFC 9113 section 5.4). The peer's frames come in through inbound-*.ts, the owner's calls through session.ts.
 */
import type { AmbitError, ErrorSide, RetryVerdict } from '@ambit/base/errors';
import { HpackEncoder } from '@ambit/wire/hpack';
import { Budgets } from './budgets.ts';
import { ControlWriter } from './control-writer.ts';
import { http2Error, http2ErrorName } from './errors.ts';
import { DEFAULT_WINDOW_BYTES } from './frames.ts';
import { ReceiveWindow } from './receive-window.ts';
import { PeerSettings } from './settings.ts';
import { Http2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { type HeaderList, Http2ErrorCode, type Http2Handler, type Http2Options, type Http2Transport } from './types.ts';
import { WritableRing } from './writable-ring.ts';

export class SessionCore {
  readonly options: Http2Options;
  readonly transport: Http2Transport;
  readonly handler: Http2Handler;
  readonly isServer: boolean;
  readonly control: ControlWriter;
  readonly budgets: Budgets;
  readonly streams: StreamTable;
  readonly encoder = new HpackEncoder();
  readonly peer = new PeerSettings(this.encoder);
  readonly receiveWindow: ReceiveWindow;
  /** Negative never: only streams' windows shrink by SETTINGS (section 6.9.2). */
  sendWindowBytes = DEFAULT_WINDOW_BYTES;
  /** The peer has our SETTINGS, and so the windows that we announced. */
  settingsAcked = false;
  /** Control frames are gathered until the turn ends. */
  inTurn = false;
  closed = false;
  /** The peer's GOAWAY: nothing new may be opened. */
  peerGoaway = false;
  /** Our GOAWAY: the highest stream that is served; -1: none was sent, or the first of two. */
  goawayLastId = -1;
  /** The session closes when its last stream has. */
  draining = false;

  readonly #ring = new WritableRing<Http2Stream>();
  readonly #peerSide: ErrorSide;
  #serving = false;

  constructor(options: Http2Options, transport: Http2Transport, handler: Http2Handler) {
    this.options = options;
    this.transport = transport;
    this.handler = handler;
    this.isServer = options.role === 'server';
    this.#peerSide = this.isServer ? 'downstream' : 'upstream';
    this.control = new ControlWriter(transport);
    this.budgets = new Budgets(options);
    this.streams = new StreamTable(this.isServer);
    const windowBytes = Math.max(options.connectionWindowBytes, DEFAULT_WINDOW_BYTES);
    this.receiveWindow = new ReceiveWindow(windowBytes, windowBytes);
  }

  endTurn(): void {
    if (!this.inTurn && !this.closed) this.control.flush();
  }

  addStream(id: number): Http2Stream {
    const windowBytes = this.options.streamWindowInitialBytes;
    // Until the peer has our SETTINGS it goes by the default; after that, by ours.
    const availableBytes = this.settingsAcked ? windowBytes : Math.max(windowBytes, DEFAULT_WINDOW_BYTES);
    const window = new ReceiveWindow(windowBytes, availableBytes);
    const stream = new Http2Stream(this, id, this.peer.windowInitialBytes, window);
    this.streams.add(stream);
    this.budgets.earnMessage();
    return stream;
  }

  writeHeaders(streamId: number, headers: HeaderList, endStream: boolean): void {
    this.control.headers(this.encoder, streamId, headers, endStream, this.peer.frameSizeMaxBytes);
  }

  hasRoom(): boolean {
    return this.transport.writableBytes() > this.control.length;
  }

  creditConnection(bytes: number): void {
    if (this.closed) return;
    const increment = this.receiveWindow.credit(bytes, 0);
    if (increment > 0) this.control.windowUpdate(0, increment);
  }

  waitWritable(stream: Http2Stream): void {
    if (stream.closed || stream.localEnded) return;
    if (stream.sendWindowBytes <= 0) stream.waitsForWindow = true;
    else this.#ring.push(stream);
  }

  stopWaiting(stream: Http2Stream): void {
    stream.waitsForWindow = false;
    this.#ring.remove(stream);
  }

  /** A stream's own window was opened: it joins those that wait for what is shared. */
  windowOpened(stream: Http2Stream): void {
    if (!stream.waitsForWindow || stream.sendWindowBytes <= 0) return;
    stream.waitsForWindow = false;
    this.#ring.push(stream);
  }

  /** In turn, as long as there is something to share: who used it up waits at the end of the ring. */
  serveWritable(): void {
    if (this.#serving) return;
    this.#serving = true;
    try {
      while (this.#ring.size > 0 && !this.closed && this.sendWindowBytes > 0 && this.transport.writableBytes() > 0) {
        const stream = this.#ring.shift() as Http2Stream;
        if (stream.sendWindowBytes <= 0) stream.waitsForWindow = true;
        else this.handler.onWritable(stream);
      }
    } finally {
      this.#serving = false;
    }
  }

  /** The peer broke a rule of the stream. Costs it of its budget of resets. */
  streamError(stream: Http2Stream, errorCode: number, message: string): void {
    this.resetStream(stream, errorCode, message);
    this.countProvokedReset();
  }

  /** The same for a stream that was never handed to the owner. */
  rejectStream(streamId: number, errorCode: number): void {
    this.control.rstStream(streamId, errorCode);
    this.countProvokedReset();
  }

  countProvokedReset(): void {
    this.countAnswer();
    if (this.budgets.spendReset()) this.fail(Http2ErrorCode.ENHANCE_YOUR_CALM, 'too many streams were reset');
  }

  countIdleFrame(): void {
    if (this.budgets.spendIdleFrame()) this.fail(Http2ErrorCode.ENHANCE_YOUR_CALM, 'too many frames without progress');
  }

  countAnswer(): void {
    if (this.budgets.spendAnswer(this.hasRoom())) {
      this.fail(Http2ErrorCode.ENHANCE_YOUR_CALM, 'too many answers are owed to a peer that does not read');
    }
  }

  resetStream(stream: Http2Stream, errorCode: number, message: string): void {
    this.control.rstStream(stream.id, errorCode);
    this.finishStream(stream, this.error(errorCode, message, 'unknown'));
  }

  finishStream(stream: Http2Stream, error: AmbitError | null): void {
    if (stream.closed) return;
    stream.closed = true;
    this.stopWaiting(stream);
    this.streams.remove(stream);
    if (stream.remoteEnded) this.streams.noteEnded(stream.id);
    const unconsumedBytes = stream.unconsumedBytes;
    stream.unconsumedBytes = 0;
    this.creditConnection(unconsumedBytes);
    this.handler.onStreamClose(stream, error);
    this.closeWhenDrained();
  }

  closeWhenDrained(): void {
    if (this.closed || !this.draining || this.streams.size > 0) return;
    if (this.goawayLastId < 0) this.sendGoaway(Http2ErrorCode.NO_ERROR);
    this.control.flush();
    this.close(null);
  }

  /** Streams above the last that was seen are not served any more. A later GOAWAY never names a higher one. */
  sendGoaway(errorCode: number): void {
    if (this.goawayLastId < 0) this.goawayLastId = this.isServer ? this.streams.lastId : 0;
    this.control.goaway(this.goawayLastId, errorCode);
  }

  /** A connection error: says why and ends. */
  fail(errorCode: number, message: string): void {
    if (this.closed) return;
    this.sendGoaway(errorCode);
    this.control.flush();
    this.close(this.error(errorCode, message, 'unknown'));
  }

  /** Nothing is written any more. Every handler is told even if one of them throws; the first to throw is passed on. */
  close(error: AmbitError | null): void {
    if (this.closed) return;
    this.closed = true;
    this.control.discard();
    const streamError = error ?? this.error(Http2ErrorCode.CANCEL, 'the session was closed', 'unknown');
    const thrown: unknown[] = [];
    for (const stream of [...this.streams.values()]) {
      try {
        this.finishStream(stream, streamError);
      } catch (fault) {
        thrown.push(fault);
      }
    }
    this.handler.onSessionClose(error);
    if (thrown.length > 0) throw thrown[0];
  }

  error(errorCode: number, message: string, retry: RetryVerdict): AmbitError {
    return http2Error(errorCode, `HTTP/2 ${http2ErrorName(errorCode)}: ${message}`, this.#peerSide, retry);
  }
}
