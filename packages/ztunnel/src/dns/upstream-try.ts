/**
 * One question to one nameserver, over UDP or TCP. Over UDP each try has a socket, and so a port, and an id of its own,
 * both random: who cannot see the traffic must guess both (RFC 5452). The sockets are made in the pod's namespace and
 * carry the mark that keeps redirection from bringing them back to us.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { DatagramEngine, DatagramReceiver, DatagramSocket } from '@ambit/net/datagram';
import type { Connection, Engine, EngineTimer, Receiver, SocketAddress } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { isAnswerTo } from './answer.ts';
import { TCP_ANSWER_BYTES_MAX, UPSTREAM_CONNECT_MS, UPSTREAM_WRONG_ANSWERS_MAX } from './limits.ts';
import { copyBytes } from './message.ts';
import { MessageReader, withLength } from './message-reader.ts';
import type { Query } from './query.ts';

export interface UpstreamDeps {
  readonly engine: Engine;
  readonly datagrams: DatagramEngine;
  /** 0 to 65535, and not to be guessed. */
  readonly randomId: () => number;
}

export interface UpstreamOptions {
  readonly server: SocketAddress;
  readonly timeoutMs: number;
  readonly namespaceFd?: number | undefined;
  readonly mark?: number | undefined;
}

/** Called once, never before the try was made; null when there is no answer. It is a copy. */
export type OnAnswer = (answer: Uint8Array | null) => void;

/** Cancelling it is final: there will be no call. Making one throws when there is no way to the server. */
abstract class UpstreamTry implements EngineTimer {
  protected readonly query: Query;
  protected readonly id: number;
  readonly #onAnswer: OnAnswer;
  #timer: EngineTimer | null = null;
  #isOver = false;

  constructor(deps: UpstreamDeps, query: Query, onAnswer: OnAnswer) {
    this.query = query;
    this.id = deps.randomId();
    this.#onAnswer = onAnswer;
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.release();
  }

  protected abstract release(): void;

  protected settle(answer: Uint8Array | null): void {
    if (this.#isOver) return;
    this.cancel();
    this.#onAnswer(answer);
  }

  protected startTimer(engine: Engine, timeoutMs: number): void {
    this.#timer = engine.after(timeoutMs, () => this.settle(null));
  }

  /** The client's own message, so that its spelling and its options reach the upstream, under another id. */
  protected message(): Uint8Array {
    const { bytes } = this.query;
    const message = copyBytes(bytes, 0, bytes.length);
    message[0] = this.id >>> 8;
    message[1] = this.id & 0xff;
    return message;
  }
}

export class UdpTry extends UpstreamTry implements DatagramReceiver {
  readonly #socket: DatagramSocket;
  #wrongAnswers = 0;

  constructor(deps: UpstreamDeps, options: UpstreamOptions, query: Query, onAnswer: OnAnswer) {
    super(deps, query, onAnswer);
    const { server, timeoutMs, namespaceFd, mark } = options;
    this.#socket = deps.datagrams.connectDatagram({ ...server, namespaceFd, mark }, this);
    const message = this.message();
    const isSent = this.#socket.send(message, 0, message.length, null);
    // What was not sent has the next turn of the loop as its deadline.
    this.startTimer(deps.engine, isSent ? timeoutMs : 0);
  }

  onDatagram(bytes: Uint8Array, offset: number, length: number): void {
    if (isAnswerTo(this.query, this.id, bytes, offset, length)) this.settle(copyBytes(bytes, offset, length));
    else if (++this.#wrongAnswers > UPSTREAM_WRONG_ANSWERS_MAX) this.settle(null);
  }

  onError(): void {
    this.settle(null);
  }

  protected release(): void {
    this.#socket.close();
  }
}

export class TcpTry extends UpstreamTry implements Receiver {
  readonly #reader = new MessageReader(TCP_ANSWER_BYTES_MAX);
  readonly #dial: EngineTimer;
  #connection: Connection | null = null;

  constructor(deps: UpstreamDeps, options: UpstreamOptions, query: Query, onAnswer: OnAnswer) {
    super(deps, query, onAnswer);
    const { server, timeoutMs, namespaceFd, mark } = options;
    const place = {
      ...(namespaceFd === undefined ? {} : { namespaceFd }),
      ...(mark === undefined ? {} : { mark }),
    };
    this.#dial = deps.engine.connect(
      { ...server, ...place, timeoutMs: UPSTREAM_CONNECT_MS },
      {
        onOpen: (connection) => {
          this.#connection = connection;
          connection.receive(this);
          const message = withLength(this.message());
          connection.write(message, 0, message.length);
          this.startTimer(deps.engine, timeoutMs);
        },
        onFail: () => this.settle(null),
      },
    );
  }

  creditBytes(): number {
    return this.#reader.wantedBytes;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    const message = this.#reader.take(bytes, offset, length);
    if (message === null) return;
    const isAnswer = message !== 'bad length' && isAnswerTo(this.query, this.id, message, 0, message.length);
    this.settle(isAnswer ? message : null);
  }

  onEnd(): void {
    this.settle(null);
  }

  onWritable(): void {}

  onClose(_error: AmbitError | null): void {
    this.settle(null);
  }

  protected release(): void {
    this.#dial.cancel();
    this.#connection?.abort(aborted('the answer has come, or is not waited for'));
  }
}
