/**
 * SOCKS5 (RFC 1928) in front of the outbound path: no authentication, CONNECT, all three kinds of address. As Istio's
 * ztunnel, success is told before the target is dialled, so that a later failure just closes the connection.
 */
import { AmbitError } from '@ambit/base/errors';
import type { Connection, Engine, EngineTimer, Receiver, SocketAddress } from '@ambit/net/engine';
import { canonicalIp, formatIp } from '@ambit/wire/ip';
import { LIMITS } from './limits.ts';

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN = 3;
const IPV6 = 4;

const SUCCEEDED = 0;
const GENERAL_FAILURE = 1;
const HOST_UNREACHABLE = 4;
const COMMAND_NOT_SUPPORTED = 7;

/** Of each message, so much must be there to know how much follows. */
const GREETING_HEAD_BYTES = 2;
const REQUEST_HEAD_BYTES = 5;
/** Version, command, a reserved byte and the kind of address before it; the port behind it. */
const BEFORE_ADDRESS_BYTES = 4;
const PORT_BYTES = 2;
/** Taken and dropped at once, to reach the end of a client that was refused. */
const DISCARDED_BYTES = 4096;

export interface Socks5Deps {
  readonly engine: Engine;
  /** Calls back once, with null when there is no address, perhaps before it returns. Null where no DNS proxy runs. */
  readonly resolve:
    | ((name: string, wantsIpv6: boolean, onAddress: (ip: string | null) => void) => EngineTimer | null)
    | null;
  /** The outbound path: takes the connection over, before it returns, and what is read from now on. */
  readonly proceed: (connection: Connection, target: SocketAddress) => void;
}

/** For `Engine.listen`: each connection is on its own from here on. */
export function acceptSocks5(connection: Connection, deps: Socks5Deps): void {
  connection.receive(new Socks5Entry(connection, deps));
}

type State = 'greeting' | 'request' | 'resolving' | 'refused' | 'handed over';

class Socks5Entry implements Receiver {
  readonly #connection: Connection;
  readonly #deps: Socks5Deps;
  readonly #deadline: EngineTimer;
  #state: State = 'greeting';
  /** What is awaited now, as far as it has come. */
  #message = new Uint8Array(GREETING_HEAD_BYTES);
  #have = 0;
  #lookup: EngineTimer | null = null;

  constructor(connection: Connection, deps: Socks5Deps) {
    this.#connection = connection;
    this.#deps = deps;
    this.#deadline = deps.engine.after(LIMITS.socks5HandshakeMs, () =>
      connection.abort(socksError('the client did not get through its handshake in time')),
    );
  }

  /** Exactly what is awaited: what follows the request is for the target. Of who was refused only the end is awaited. */
  creditBytes(): number {
    if (this.#state === 'refused') return DISCARDED_BYTES;
    return this.#state === 'greeting' || this.#state === 'request' ? this.#message.length - this.#have : 0;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    if (this.#state === 'refused') return;
    this.#message.set(bytes.subarray(offset, offset + length), this.#have);
    this.#have += length;
    if (this.#have < this.#message.length) return;
    if (this.#message[0] !== VERSION) this.#fail(COMMAND_NOT_SUPPORTED);
    else if (this.#state === 'greeting') this.#onGreeting();
    else this.#onRequest();
  }

  onEnd(): void {
    this.#fail(GENERAL_FAILURE);
  }

  onWritable(): void {}

  onClose(): void {
    this.#state = 'refused';
    this.#deadline.cancel();
    this.#lookup?.cancel();
  }

  #onGreeting(): void {
    const methods = this.#message[1]!;
    if (this.#message.length < GREETING_HEAD_BYTES + methods) {
      this.#awaitMore(GREETING_HEAD_BYTES + methods);
      return;
    }
    if (!this.#message.includes(NO_AUTHENTICATION, GREETING_HEAD_BYTES)) {
      this.#fail(COMMAND_NOT_SUPPORTED);
      return;
    }
    this.#write(Uint8Array.of(VERSION, NO_AUTHENTICATION));
    this.#state = 'request';
    this.#message = new Uint8Array(REQUEST_HEAD_BYTES);
    this.#have = 0;
  }

  #onRequest(): void {
    const message = this.#message;
    const kind = message[3]!;
    const addressBytes = kind === IPV4 ? 4 : kind === IPV6 ? 16 : kind === DOMAIN ? 1 + message[4]! : null;
    if (message[1] !== CONNECT || addressBytes === null) {
      this.#fail(COMMAND_NOT_SUPPORTED);
      return;
    }
    const addressEnd = BEFORE_ADDRESS_BYTES + addressBytes;
    if (message.length < addressEnd + PORT_BYTES) {
      this.#awaitMore(addressEnd + PORT_BYTES);
      return;
    }
    const port = message[addressEnd]! * 256 + message[addressEnd + 1]!;
    const address = message.subarray(BEFORE_ADDRESS_BYTES, addressEnd);
    if (kind === DOMAIN) this.#resolve(String.fromCharCode(...address.subarray(1)), port);
    else this.#proceed({ ip: formatIp(address), port });
  }

  #awaitMore(totalBytes: number): void {
    const message = new Uint8Array(totalBytes);
    message.set(this.#message);
    this.#message = message;
  }

  /** For an address of the client's own family, as Istio's ztunnel. */
  #resolve(name: string, port: number): void {
    const literal = canonicalIp(name);
    if (literal !== null) {
      this.#proceed({ ip: literal, port });
      return;
    }
    const { resolve } = this.#deps;
    if (resolve === null) {
      this.#fail(HOST_UNREACHABLE);
      return;
    }
    this.#state = 'resolving';
    this.#lookup = resolve(name, this.#connection.remote.ip.includes(':'), (ip) => {
      if (this.#state !== 'resolving') return;
      if (ip === null) this.#fail(HOST_UNREACHABLE);
      else this.#proceed({ ip, port });
    });
  }

  #proceed(target: SocketAddress): void {
    this.#state = 'handed over';
    this.#deadline.cancel();
    this.#reply(SUCCEEDED);
    this.#deps.proceed(this.#connection, target);
    this.#connection.resume();
  }

  /** The client is told and has until the deadline to end as well. */
  #fail(code: number): void {
    if (this.#state === 'refused') return;
    this.#state = 'refused';
    this.#lookup?.cancel();
    this.#reply(code);
    this.#connection.end();
    this.#connection.resume();
  }

  /** The address bound is not told: 0.0.0.0 and port 0. */
  #reply(code: number): void {
    this.#write(Uint8Array.of(VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0));
  }

  #write(message: Uint8Array): void {
    this.#connection.write(message, 0, message.length);
  }
}

function socksError(message: string): AmbitError {
  return new AmbitError('SOCKS_REFUSED', message, { side: 'downstream', retry: 'never' });
}
