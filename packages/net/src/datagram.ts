/**
 * Datagrams behind an interface, beside the streams of engine.ts and by the same rules: synchronous callbacks over views
 * that are valid only during the call, and a receiver that throws is counted. A datagram may always be lost.
 */
import type { AmbitError } from '@ambit/base/errors';
import type { SocketAddress } from './engine.ts';

export interface DatagramReceiver {
  onDatagram(bytes: Uint8Array, offset: number, length: number, from: SocketAddress): void;
  /** Only on a connected socket: nobody is there, or no way leads there. It may still be used. */
  onError(error: AmbitError): void;
}

export interface DatagramSocket {
  readonly address: SocketAddress;
  /** False when it was not even sent. `to` is null on a connected socket. */
  send(bytes: Uint8Array, offset: number, length: number, to: SocketAddress | null): boolean;
  /** Idempotent; nothing is called afterwards. */
  close(): void;
}

export interface BindDatagramOptions {
  readonly ip: string;
  /** 0 takes a free one; `address` tells which. */
  readonly port: number;
  /** An already bound descriptor, owned by the caller until the socket is closed, instead of ip and port. */
  readonly fd?: number;
}

export interface ConnectDatagramOptions {
  readonly ip: string;
  readonly port: number;
  /** SO_MARK of the socket. */
  readonly mark?: number | undefined;
  /** Descriptor of the network namespace in which the socket is made. */
  readonly namespaceFd?: number | undefined;
}

export interface DatagramEngine {
  /** Throws when the address cannot be had. */
  bindDatagram(options: BindDatagramOptions, receiver: DatagramReceiver): DatagramSocket;
  /** Takes from this peer alone, at a port that strangers cannot guess. Throws when there is no way to it. */
  connectDatagram(options: ConnectDatagramOptions, receiver: DatagramReceiver): DatagramSocket;
}
