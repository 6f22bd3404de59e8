/**
 * Who talks in the conformance suite: sends a known text, hashes what comes, uses all the freedom that engine.ts gives a
 * receiver (it overwrites the headroom, and its own buffers after each write) and notes each broken promise.
 */
import { createHash } from 'node:crypto';
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import { type Duplex, HEADROOM_BYTES, type Receiver } from '@ambit/net/engine';

export interface PartyOptions {
  /** What it may still be given; `grant` adds to it. All there is when left out. */
  readonly budgetBytes?: number;
  readonly sendBytes?: number;
  /** Ends after the last byte. True when left out. */
  readonly endWhenSent?: boolean;
  /** Sends only after the other side has ended. */
  readonly sendOnEnd?: boolean;
}

/** Not a power of two, so that a shift by a buffer's size cannot go unseen. */
const TEXT = makeText(65_537);
const HEADROOM_SCRIBBLE = 0x5c;
const WRITTEN_SCRIBBLE = 0xee;

export class Party implements Receiver {
  received = 0;
  ended = false;
  /** Undefined while open. */
  closed: AmbitError | null | undefined = undefined;
  /** Times when there was no room to write. */
  pauses = 0;
  writableCalls = 0;
  sent = 0;
  readonly violations: string[];
  stream: Duplex | null = null;
  #budgetBytes: number;
  #sendBytes: number;
  readonly #endWhenSent: boolean;
  readonly #sendOnEnd: boolean;
  readonly #receivedHash = createHash('sha256');
  readonly #sentHash = createHash('sha256');
  readonly #scratch = new Uint8Array(TEXT.length);
  #digests: { received: string; sent: string } | null = null;
  #lastCreditBytes = 0;
  #calling = false;

  constructor(violations: string[], options: PartyOptions = {}) {
    this.violations = violations;
    this.#budgetBytes = options.budgetBytes ?? Number.MAX_SAFE_INTEGER;
    this.#sendBytes = options.sendBytes ?? 0;
    this.#endWhenSent = options.endWhenSent ?? true;
    this.#sendOnEnd = options.sendOnEnd ?? false;
  }

  attach(stream: Duplex): void {
    this.stream = stream;
    this.call(() => stream.receive(this));
    if (!this.#sendOnEnd) this.pump();
  }

  grant(bytes: number): void {
    this.#budgetBytes += bytes;
    this.call(() => this.stream!.resume());
  }

  /** More to send, from outside. */
  send(bytes: number): void {
    this.#sendBytes += bytes;
    this.pump();
  }

  get allSent(): boolean {
    return this.sent === this.#sendBytes;
  }

  /** Marks a call that this side makes, during which `onClose` may not come. */
  call(action: () => void): void {
    this.#calling = true;
    action();
    this.#calling = false;
  }

  digests(): { received: string; sent: string } {
    this.#digests ??= { received: this.#receivedHash.digest('hex'), sent: this.#sentHash.digest('hex') };
    return this.#digests;
  }

  pump(): void {
    const stream = this.stream!;
    while (this.sent < this.#sendBytes) {
      const room = stream.writableBytes();
      if (room <= 0) {
        this.pauses += 1;
        return;
      }
      const from = this.sent % TEXT.length;
      const count = Math.min(room, TEXT.length - from, this.#sendBytes - this.sent);
      this.#write(TEXT.subarray(from, from + count));
    }
    if (this.#endWhenSent) this.call(() => stream.end());
  }

  #write(text: Uint8Array): void {
    // Odd offsets, without any headroom at all in the first case.
    const offset = Math.min(this.sent % 3, this.#scratch.length - text.length);
    this.#scratch.set(text, offset);
    this.#sentHash.update(text);
    this.sent += text.length;
    this.call(() => this.stream!.write(this.#scratch, offset, text.length));
    this.#scratch.fill(WRITTEN_SCRIBBLE, offset, offset + text.length);
  }

  creditBytes(): number {
    this.checkOpen('creditBytes');
    this.#lastCreditBytes = this.#budgetBytes;
    return this.#budgetBytes;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.checkOpen('onData');
    this.check(!this.ended, 'no data after the end');
    this.check(length > 0, 'no empty data');
    this.check(offset >= HEADROOM_BYTES && offset + length <= bytes.length, 'data lies behind its headroom');
    this.check(length <= this.#lastCreditBytes, 'no more data than the credit');
    this.#receivedHash.update(bytes.subarray(offset, offset + length));
    bytes.fill(HEADROOM_SCRIBBLE, offset - HEADROOM_BYTES, offset);
    this.received += length;
    this.#budgetBytes -= length;
    this.#lastCreditBytes -= length;
  }

  onEnd(): void {
    this.checkOpen('onEnd');
    this.check(!this.ended, 'one end');
    this.ended = true;
    if (this.#sendOnEnd) this.pump();
  }

  onWritable(): void {
    this.checkOpen('onWritable');
    this.writableCalls += 1;
    this.pump();
  }

  onClose(error: AmbitError | null): void {
    this.check(this.closed === undefined, 'one close');
    this.check(!this.#calling, 'no close from inside a call on the stream');
    if (error === null) this.check(this.ended, 'a clean close comes after the end');
    else this.check(asAmbitError(error) === error, 'a close carries an AmbitError');
    this.closed = error;
  }

  checkOpen(call: string): void {
    this.check(this.closed === undefined, `no ${call} after the close`);
    this.check(this.stream !== null, `no ${call} before the stream was received`);
  }

  check(kept: boolean, promise: string): void {
    if (!kept) this.violations.push(promise);
  }
}

/** Gives back what it gets, from the very view in which it came. */
export class EchoParty extends Party {
  override creditBytes(): number {
    this.checkOpen('creditBytes');
    return this.stream!.writableBytes();
  }

  override onData(bytes: Uint8Array, offset: number, length: number): void {
    this.checkOpen('onData');
    this.received += length;
    bytes.fill(HEADROOM_SCRIBBLE, offset - HEADROOM_BYTES, offset);
    this.call(() => this.stream!.write(bytes, offset, length));
    bytes.fill(WRITTEN_SCRIBBLE, offset, offset + length);
  }

  override onWritable(): void {
    this.checkOpen('onWritable');
    this.call(() => this.stream!.resume());
  }

  override pump(): void {}

  override onEnd(): void {
    super.onEnd();
    this.call(() => this.stream!.end());
  }
}

/** What the receiver of `bytes` of a party's text should have hashed. */
export function textDigest(bytes: number): string {
  const hash = createHash('sha256');
  for (let done = 0; done < bytes; done += TEXT.length)
    hash.update(TEXT.subarray(0, Math.min(TEXT.length, bytes - done)));
  return hash.digest('hex');
}

/** A xorshift sequence: without a period that a mistake could hit. */
function makeText(length: number): Uint8Array {
  const text = new Uint8Array(length);
  let x = 0x2545f491;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    text[i] = x >>> 11;
  }
  return text;
}
