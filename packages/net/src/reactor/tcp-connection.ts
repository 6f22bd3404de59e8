/** A plain TCP connection: one `read` into the shared area, one `write` from wherever the bytes lie. */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from '@ambit/platform/epoll';
import { EAGAIN, EINTR, EPIPE, lastErrno } from '@ambit/platform/errno';
import { libc } from '@ambit/platform/ffi';
import { HEADROOM_BYTES, type Receiver } from '../engine.ts';
import { addressText, connectionReset } from '../errors.ts';
import { BlockQueue } from './block-queue.ts';
import { UNWATCHED } from './event-loop.ts';
import { addressableBytes, addressOf, receivedAddress, receivedBytes } from './io.ts';
import { PLAIN_READ_BYTES } from './limits.ts';
import { SocketConnection } from './socket-connection.ts';

export class TcpConnection extends SocketConnection {
  readonly tls = null;
  /** Made when a peer first takes less than it was given. */
  #queue: BlockQueue | null = null;
  /** The peer reset it; what had come before is still read. */
  #broken = false;
  /** A write took the error from the socket, which from then on reads as ended although no FIN came. */
  #endIsFalse = false;

  heldBytes(): number {
    return this.#queue === null ? 0 : this.#queue.bytes;
  }

  onEvents(events: number): void {
    if (events & EPOLLERR) {
      this.#break();
      return;
    }
    if (events & EPOLLOUT) this.#drain();
    if (this.closed || !(events & (EPOLLIN | EPOLLHUP))) return;
    if (this.paused || this.remoteEnded) this.silence((events & EPOLLHUP) !== 0);
    else this.pull();
  }

  pull(): void {
    let budget = PLAIN_READ_BYTES;
    while (!this.closed && !this.remoteEnded) {
      const receiver = this.receiver as Receiver;
      const credit = receiver.creditBytes();
      if (this.closed) return;
      if (credit <= 0) {
        this.paused = true;
        if (this.#broken) this.#reset();
        return;
      }
      const wanted = Math.min(credit, budget);
      const count = libc.read(this.fd, receivedAddress, wanted);
      if (count > 0) {
        receiver.onData(receivedBytes, HEADROOM_BYTES, count);
        // Less than there was room for: the kernel has no more, and epoll tells when it has.
        if (count < wanted && !this.#broken) return;
        budget -= count;
        if (budget > 0) continue;
        if (!this.closed) this.shared.loop.markReady(this);
        return;
      }
      if (count === 0) {
        if (!this.#endIsFalse) this.takeEnd();
        if (this.#broken) this.#reset();
        return;
      }
      const errno = lastErrno();
      if (errno === EAGAIN) return;
      if (errno !== EINTR) this.#reset();
    }
  }

  write(bytes: Uint8Array, offset: number, length: number): void {
    if (this.closed || this.localEnded || this.#broken || length === 0) return;
    let done = 0;
    if (this.heldBytes() === 0) {
      while (done < length) {
        const piece = addressableBytes(bytes, length - done);
        const count = libc.write(this.fd, addressOf(bytes, offset + done, piece), piece);
        if (count >= 0) {
          done += count;
          if (count < piece) break;
          continue;
        }
        const errno = lastErrno();
        if (errno === EINTR) continue;
        if (errno === EAGAIN) break;
        this.#breakByWrite(errno);
        return;
      }
      if (done === length) return;
      this.watchWrites(true);
    }
    this.#queue ??= new BlockQueue();
    this.#queue.append(bytes, offset + done, length - done);
    this.shared.counters.queuedBytes += length - done;
  }

  finishWriting(): void {
    if (this.heldBytes() === 0) this.shutWrite();
  }

  freeTransport(): void {
    this.#queue?.clear();
    this.#queue = null;
  }

  onHandshake(): void {}

  onFlush(): void {}

  #drain(): void {
    const queue = this.#queue;
    while (queue !== null && queue.bytes > 0) {
      const piece = queue.headBytes();
      const count = libc.write(this.fd, queue.headAddress(), piece);
      if (count < 0) {
        const errno = lastErrno();
        if (errno === EINTR) continue;
        if (errno !== EAGAIN) this.#breakByWrite(errno);
        break;
      }
      queue.drop(count);
      this.shared.counters.queuedBytes -= count;
      if (count < piece) break;
    }
    if (this.closed || this.#broken) return;
    if (this.heldBytes() === 0) {
      this.watchWrites(false);
      if (this.localEnded) this.shutWrite();
    }
    this.tellWritable();
  }

  /**
   * A server that answers early and closes resets what it did not read: its answer lies here, and is worth having. Who
   * has no credit for it is told at once.
   */
  #break(): void {
    if (this.paused || this.remoteEnded) {
      this.#reset();
      return;
    }
    if (this.#broken) return;
    this.#broken = true;
    this.watch(UNWATCHED);
    this.shared.loop.markReady(this);
  }

  /** The kernel says EPIPE where a FIN came before the reset (tcp_reset, CLOSE_WAIT): that end is a true one. */
  #breakByWrite(errno: number): void {
    this.#endIsFalse = errno !== EPIPE;
    this.#break();
  }

  #reset(): void {
    this.release(connectionReset(addressText(this.remote.ip, this.remote.port), this.dialled));
  }
}
