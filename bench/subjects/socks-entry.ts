/** SOCKS5 (RFC 1928) on an accepted connection: no authentication, CONNECT to an IPv4 address, then bytes both ways. */
import { AmbitError } from '@ambit/base/errors';
import { copy } from '@ambit/net/copy';
import type { Connection, EngineTimer, Receiver, SocketAddress } from '@ambit/net/engine';
import type { TunnelResult } from '@ambit/net/hbone';
import { CONNECT_BYTES, GREETING_BYTES } from '../load/socks5.ts';

export type OpenTunnel = (authority: string, source: SocketAddress, result: TunnelResult) => EngineTimer;

const METHOD_ACCEPTED = Uint8Array.of(5, 0);
const SUCCEEDED = Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
const REFUSED = Uint8Array.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0);

export class SocksEntry implements Receiver {
  readonly #connection: Connection;
  readonly #openTunnel: OpenTunnel;
  /** The message awaited, as far as it has come. */
  #message = new Uint8Array(GREETING_BYTES);
  #have = 0;
  #greeted = false;
  #tunnel: EngineTimer | null = null;

  constructor(connection: Connection, openTunnel: OpenTunnel) {
    this.#connection = connection;
    this.#openTunnel = openTunnel;
    connection.receive(this);
  }

  /** Exactly the message awaited: what follows the request is for the tunnel. */
  creditBytes(): number {
    return this.#message.length - this.#have;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.#message.set(bytes.subarray(offset, offset + length), this.#have);
    this.#have += length;
    if (this.#have < this.#message.length) return;
    if (!this.#greeted) this.#onGreeting();
    else this.#onRequest();
  }

  onEnd(): void {
    this.#connection.abort(socksError('the client ended before its request'));
  }

  onWritable(): void {}

  onClose(): void {
    this.#tunnel?.cancel();
  }

  #onGreeting(): void {
    this.#greeted = true;
    this.#message = new Uint8Array(CONNECT_BYTES);
    this.#have = 0;
    this.#send(METHOD_ACCEPTED);
  }

  #onRequest(): void {
    const message = this.#message;
    const ip = message.subarray(4, 8).join('.');
    const port = ((message[8] as number) << 8) | (message[9] as number);
    this.#tunnel = this.#openTunnel(`${ip}:${port}`, this.#connection.remote, {
      onOpen: (stream) => {
        this.#send(SUCCEEDED);
        copy(this.#connection, stream, { onDone: () => {} });
      },
      onFail: (error) => {
        console.error(`${error.code}: ${error.message}`);
        this.#send(REFUSED);
        this.#connection.end();
      },
    });
  }

  #send(message: Uint8Array): void {
    this.#connection.write(message, 0, message.length);
  }
}

function socksError(message: string): AmbitError {
  return new AmbitError('SOCKS_INCOMPLETE', message, { side: 'downstream', retry: 'never' });
}
