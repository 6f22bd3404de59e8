/** UDP sockets on the reactor's loop. All share one buffer: a datagram is handled, or copied, before the next is read. */
import { bindDatagram, connectDatagram, datagramSource, receiveDatagram, sendDatagram } from '@ambit/platform/datagram';
import { EAGAIN, EINTR, errnoName } from '@ambit/platform/errno';
import { Region } from '@ambit/platform/region';
import { closeDescriptor, localAddress } from '@ambit/platform/socket';
import type {
  BindDatagramOptions,
  ConnectDatagramOptions,
  DatagramEngine,
  DatagramReceiver,
  DatagramSocket,
} from '../datagram.ts';
import type { EngineTimer, SocketAddress } from '../engine.ts';
import { addressText, connectFailed } from '../errors.ts';
import { DATAGRAMS_PER_TURN, RECEIVE_DATAGRAM_BYTES } from './limits.ts';
import type { Reactor } from './reactor.ts';

const buffer = Region.map(RECEIVE_DATAGRAM_BYTES);

export interface DatagramsOptions {
  /** A receiver threw; its socket lives on. */
  readonly onFault?: (thrown: unknown) => void;
}

/** Whoever opens sockets closes them: closing the reactor does not. */
export class ReactorDatagrams implements DatagramEngine {
  readonly #reactor: Reactor;
  readonly #onFault: (thrown: unknown) => void;

  constructor(reactor: Reactor, options: DatagramsOptions = {}) {
    this.#reactor = reactor;
    this.#onFault = options.onFault ?? (() => {});
  }

  bindDatagram(options: BindDatagramOptions, receiver: DatagramReceiver): DatagramSocket {
    const fd = options.fd ?? bindDatagram(options);
    return this.#open(fd, options.fd === undefined, null, receiver);
  }

  connectDatagram(options: ConnectDatagramOptions, receiver: DatagramReceiver): DatagramSocket {
    const peer = { ip: options.ip, port: options.port };
    const fd = connectDatagram(options);
    return this.#open(fd, true, peer, receiver);
  }

  #open(fd: number, owns: boolean, peer: SocketAddress | null, receiver: DatagramReceiver): DatagramSocket {
    try {
      return new ReactorDatagramSocket(this.#reactor, fd, owns, peer, receiver, this.#onFault);
    } catch (error) {
      if (owns) closeDescriptor(fd);
      throw error;
    }
  }
}

class ReactorDatagramSocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #ownsDescriptor: boolean;
  readonly #peer: SocketAddress | null;
  readonly #receiver: DatagramReceiver;
  readonly #onFault: (thrown: unknown) => void;
  readonly #watch: EngineTimer;
  #closed = false;

  constructor(
    reactor: Reactor,
    fd: number,
    ownsDescriptor: boolean,
    peer: SocketAddress | null,
    receiver: DatagramReceiver,
    onFault: (thrown: unknown) => void,
  ) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#ownsDescriptor = ownsDescriptor;
    this.#peer = peer;
    this.#receiver = receiver;
    this.#onFault = onFault;
    this.address = localAddress(fd);
    this.#watch = reactor.watch(fd, () => this.#receive());
  }

  send(bytes: Uint8Array, offset: number, length: number, to: SocketAddress | null): boolean {
    return !this.#closed && sendDatagram(this.#fd, bytes, offset, length, to) >= 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.cancel();
    if (this.#ownsDescriptor) closeDescriptor(this.#fd);
  }

  /** Level triggered: what is left after a turn comes with the next. */
  #receive(): void {
    for (let taken = 0; taken < DATAGRAMS_PER_TURN && !this.#closed; taken += 1) {
      const length = receiveDatagram(this.#fd, buffer, 0, RECEIVE_DATAGRAM_BYTES);
      if (length === -EAGAIN) return;
      if (length === -EINTR) continue;
      try {
        if (length >= 0) this.#receiver.onDatagram(buffer.bytes, 0, length, datagramSource());
        else if (this.#peer !== null) {
          this.#receiver.onError(connectFailed(addressText(this.#peer.ip, this.#peer.port), errnoName(-length)));
        }
      } catch (thrown) {
        this.#reactor.counters.handlerFaults += 1;
        this.#onFault(thrown);
      }
    }
  }
}
