/** Datagrams between sockets of one process, on the clock of an engine; any of them can be lost or come from a stranger. */
import type { AmbitError } from '@ambit/base/errors';
import type {
  BindDatagramOptions,
  ConnectDatagramOptions,
  DatagramEngine,
  DatagramReceiver,
  DatagramSocket,
} from '@ambit/net/datagram';
import type { Engine, SocketAddress } from '@ambit/net/engine';
import { addressText, connectFailed } from '@ambit/net/errors';

const DELAY_MS = 1;

export class MemoryDatagrams implements DatagramEngine {
  /** Peers of connected sockets made so far, and how. */
  readonly connected: ConnectDatagramOptions[] = [];
  /** Connecting to these throws. */
  readonly unreachable = new Set<string>();
  readonly #engine: Engine;
  readonly #bound = new Map<string, MemorySocket>();
  #nextPort = 40_000;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get open(): number {
    return this.#bound.size;
  }

  bindDatagram(options: BindDatagramOptions, receiver: DatagramReceiver): DatagramSocket {
    return this.#bind({ ip: options.ip, port: options.port === 0 ? this.#nextPort++ : options.port }, null, receiver);
  }

  connectDatagram(options: ConnectDatagramOptions, receiver: DatagramReceiver): DatagramSocket {
    const peer = { ip: options.ip, port: options.port };
    if (this.unreachable.has(peer.ip)) throw connectFailed(addressText(peer.ip, peer.port), 'ENETUNREACH');
    this.connected.push(options);
    return this.#bind({ ip: '10.0.0.100', port: this.#nextPort++ }, peer, receiver);
  }

  deliver(bytes: Uint8Array, from: SocketAddress, to: SocketAddress): void {
    const copy = bytes.slice();
    this.#engine.after(DELAY_MS, () => {
      const target = this.#bound.get(addressText(to.ip, to.port));
      if (target !== undefined) target.take(copy, from);
      else this.#bound.get(addressText(from.ip, from.port))?.refused(connectFailed('it', 'ECONNREFUSED'));
    });
  }

  closed(socket: MemorySocket): void {
    this.#bound.delete(addressText(socket.address.ip, socket.address.port));
  }

  #bind(address: SocketAddress, peer: SocketAddress | null, receiver: DatagramReceiver): MemorySocket {
    const socket = new MemorySocket(this, address, peer, receiver);
    this.#bound.set(addressText(address.ip, address.port), socket);
    return socket;
  }
}

class MemorySocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly #datagrams: MemoryDatagrams;
  readonly #peer: SocketAddress | null;
  readonly #receiver: DatagramReceiver;

  constructor(
    datagrams: MemoryDatagrams,
    address: SocketAddress,
    peer: SocketAddress | null,
    receiver: DatagramReceiver,
  ) {
    this.#datagrams = datagrams;
    this.address = address;
    this.#peer = peer;
    this.#receiver = receiver;
  }

  send(bytes: Uint8Array, offset: number, length: number, to: SocketAddress | null): boolean {
    this.#datagrams.deliver(bytes.subarray(offset, offset + length), this.address, (to ?? this.#peer)!);
    return true;
  }

  close(): void {
    this.#datagrams.closed(this);
  }

  take(bytes: Uint8Array, from: SocketAddress): void {
    const isStranger =
      this.#peer !== null && addressText(from.ip, from.port) !== addressText(this.#peer.ip, this.#peer.port);
    if (!isStranger) this.#receiver.onDatagram(bytes, 0, bytes.length, from);
  }

  refused(error: AmbitError): void {
    if (this.#peer !== null) this.#receiver.onError(error);
  }
}
