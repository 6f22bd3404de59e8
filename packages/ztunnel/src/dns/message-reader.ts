/** Takes messages out of a TCP stream, each behind two bytes with its length (RFC 1035 section 4.2.2). */
import { assert } from '@ambit/base/assert';

const PREFIX_BYTES = 2;

export class MessageReader {
  readonly #messageBytesMax: number;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  /** Null while the prefix is awaited. */
  #message: Uint8Array | null = null;
  #have = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** What is missing of the part awaited: taking no more keeps one message apart from the next. */
  get wantedBytes(): number {
    return (this.#message ?? this.#prefix).length - this.#have;
  }

  /** At most `wantedBytes`. Gives the message, the caller's from now on, once it is whole. */
  take(bytes: Uint8Array, offset: number, length: number): Uint8Array | 'bad length' | null {
    assert(length <= this.wantedBytes, 'a stream keeps to the credit it was given');
    const message = this.#message;
    (message ?? this.#prefix).set(bytes.subarray(offset, offset + length), this.#have);
    this.#have += length;
    if (this.wantedBytes > 0) return null;
    this.#have = 0;
    if (message !== null) {
      this.#message = null;
      return message;
    }
    const messageBytes = this.#prefix[0]! * 256 + this.#prefix[1]!;
    if (messageBytes === 0 || messageBytes > this.#messageBytesMax) return 'bad length';
    this.#message = new Uint8Array(messageBytes);
    return null;
  }
}

/** The message behind its length, to be written at once. */
export function withLength(message: Uint8Array): Uint8Array {
  assert(message.length <= 0xffff, 'a message fits its length prefix');
  const framed = new Uint8Array(PREFIX_BYTES + message.length);
  framed[0] = message.length >>> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, PREFIX_BYTES);
  return framed;
}
