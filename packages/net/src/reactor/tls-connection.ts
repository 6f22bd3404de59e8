/**
 * A TLS connection: OpenSSL reads from the socket itself and seals into a memory BIO, from which one `write` sends many
 * records at the end of the turn. The rules of the FFI that apply are named where they are kept.
 */
import { assert } from '@ambit/base/assert';
import type { AmbitError } from '@ambit/base/errors';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from '@ambit/platform/epoll';
import { EAGAIN, EINTR, lastErrno } from '@ambit/platform/errno';
import { libc, openssl } from '@ambit/platform/ffi';
import {
  drainTlsErrors,
  forgetPeerCertificates,
  negotiationFailure,
  peerLeafDer,
  verifyFailure,
} from '@ambit/platform/openssl';
import { HEADROOM_BYTES, type Receiver, type SocketAddress, type TlsPeer } from '../engine.ts';
import { addressText, connectionReset, tlsHandshakeFailed } from '../errors.ts';
import { type Borrower, makeMemoryBio } from './bio-pool.ts';
import { addressableBytes, addressOf, answerAddress, answeredAddress, receivedAddress, receivedBytes } from './io.ts';
import {
  BIO_SMALL_BYTES,
  FLUSH_EAGER_BYTES,
  HANDSHAKES_PER_TURN,
  SETTLE_MS,
  TLS_READ_BYTES,
  TLS_REASON_MAX_CHARS,
} from './limits.ts';
import type { Shared } from './shared.ts';
import { SocketConnection } from './socket-connection.ts';
import type { ReactorTlsContext } from './tls-context.ts';

const SSL_ERROR_SSL = 1;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_WANT_WRITE = 3;
const SSL_ERROR_SYSCALL = 5;
const SSL_ERROR_ZERO_RETURN = 6;
const BIO_CTRL_INFO = 3;
const BIO_C_FILE_SEEK = 128;
const BIO_C_FILE_TELL = 133;

export interface HandshakeResult {
  onEstablished(connection: TlsConnection): void;
  onHandshakeFailed(error: AmbitError): void;
}

export class TlsConnection extends SocketConnection implements Borrower {
  tls: TlsPeer | null = null;
  readonly #context: ReactorTlsContext;
  readonly #ssl: number;
  /** Null once it was told. */
  #handshake: HandshakeResult | null;
  /** Where OpenSSL seals to. Empty, or holding what the kernel has not taken. */
  #bio: number;
  /** It is a grown one: counted among the borrowers, and this object holds a reference of its own. */
  #borrowed = false;
  #sentSinceSweep = false;
  /** Sealed bytes that the kernel has not taken; an estimate until the next flush. */
  #held = 0;
  /** The kernel took less than it was given; epoll tells when it takes more. */
  #blocked = false;
  #received = false;

  constructor(
    shared: Shared,
    fd: number,
    remote: SocketAddress,
    dialled: boolean,
    context: ReactorTlsContext,
    handshake: HandshakeResult,
  ) {
    super(shared, remote, dialled);
    this.#context = context;
    this.#handshake = handshake;
    this.#ssl = openssl.SSL_new(context.address);
    assert(this.#ssl !== 0, 'there is memory for a TLS connection');
    context.retain();
    this.#bio = makeMemoryBio();
    openssl.SSL_set_bio(this.#ssl, openssl.BIO_new_socket(fd, 0), this.#bio);
    if (dialled) openssl.SSL_set_connect_state(this.#ssl);
    else openssl.SSL_set_accept_state(this.#ssl);
  }

  heldBytes(): number {
    return this.#held;
  }

  onEvents(events: number): void {
    if (this.tls === null) {
      // One that must wait for its turn is not asked about again and again meanwhile.
      if (this.shared.loop.queueHandshake(this) > HANDSHAKES_PER_TURN) this.watch(0);
      return;
    }
    if (events & EPOLLERR) {
      // What came before lies there: the last bytes, or the alert of a server that refuses our certificate.
      if (!this.paused) this.pull();
      this.release(this.#broken('the peer reset it', false));
      return;
    }
    if (events & EPOLLOUT) this.onFlush();
    if (this.closed || !(events & (EPOLLIN | EPOLLHUP))) return;
    if (this.paused || this.remoteEnded) this.silence((events & EPOLLHUP) !== 0);
    else this.pull();
  }

  onHandshake(): void {
    openssl.ERR_clear_error(); // FFI rule 1, here and before every SSL call
    const done = openssl.SSL_do_handshake(this.#ssl);
    const status = done === 1 ? 0 : openssl.SSL_get_error(this.#ssl, done);
    const waiting = status === SSL_ERROR_WANT_READ || status === SSL_ERROR_WANT_WRITE;
    // The reason is read before anything else is asked of OpenSSL, and only where there is one.
    const reason = waiting
      ? null
      : done === 1
        ? negotiationFailure(this.#ssl, this.#context.material.alpn)
        : this.#failure(status);
    this.#flush();
    if (this.closed) return;
    if (waiting) {
      this.watchReads();
      return;
    }
    if (reason !== null) {
      this.release(tlsHandshakeFailed(this.#peerText(), this.dialled, reason));
      return;
    }
    this.tls = this.shared.peers.peerOf(peerLeafDer(this.#ssl), this.#context.material.alpn);
    this.open();
    this.shared.loop.after(SETTLE_MS, () => this.#settle());
    const handshake = this.#handshake;
    this.#handshake = null;
    handshake?.onEstablished(this);
    // What came with the peer's last handshake message lies in OpenSSL, where epoll does not see it (FFI rule 8).
    if (!this.closed) this.shared.loop.markReady(this);
  }

  pull(): void {
    const receiver = this.receiver as Receiver;
    if (this.closed || this.remoteEnded) return;
    const credit = Math.min(receiver.creditBytes(), TLS_READ_BYTES);
    if (this.closed) return;
    if (credit <= 0) {
      this.paused = true;
      return;
    }
    let filled = 0;
    let status = 0;
    let more = true;
    while (filled < credit && more) {
      openssl.ERR_clear_error();
      const count = openssl.SSL_read(this.#ssl, receivedAddress + filled, credit - filled);
      if (count <= 0) {
        status = openssl.SSL_get_error(this.#ssl, count);
        break;
      }
      filled += count;
      more = openssl.SSL_has_pending(this.#ssl) === 1; // FFI rule 2: spares the read that would find nothing
    }
    const failed = status !== 0 && status !== SSL_ERROR_WANT_READ && status !== SSL_ERROR_ZERO_RETURN;
    const reason = failed ? this.#failure(status) : '';
    if (filled > 0) {
      this.#received = true;
      receiver.onData(receivedBytes, HEADROOM_BYTES, filled);
      if (this.closed) return;
    }
    if (failed) {
      this.#flush(); // the alert that says why
      this.release(this.#broken(reason, status === SSL_ERROR_SSL && reason.includes('alert')));
    } else if (status === SSL_ERROR_ZERO_RETURN) this.takeEnd();
    else if (status === 0 && more) this.shared.loop.markReady(this);
  }

  write(bytes: Uint8Array, offset: number, length: number): void {
    if (this.closed || this.localEnded || length === 0) return;
    if (!this.#borrowed && this.#held === 0 && length > BIO_SMALL_BYTES) this.#borrowBio();
    for (let done = 0; done < length; ) {
      const piece = addressableBytes(bytes, length - done);
      openssl.ERR_clear_error();
      const count = openssl.SSL_write(this.#ssl, addressOf(bytes, offset + done, piece), piece);
      if (count <= 0) {
        this.release(this.#broken(this.#failure(openssl.SSL_get_error(this.#ssl, count)), false));
        return;
      }
      done += count;
    }
    this.#sentSinceSweep = true;
    this.#setHeld(this.#held + length);
    if (this.#blocked) return;
    if (this.#held >= FLUSH_EAGER_BYTES) this.#flush();
    if (!this.closed && (this.#held > 0 || this.writerWaits)) this.shared.loop.markDirty(this);
  }

  finishWriting(): void {
    openssl.ERR_clear_error();
    openssl.SSL_shutdown(this.#ssl);
    this.shared.loop.markDirty(this);
  }

  onFlush(): void {
    this.#flush();
    if (this.closed) return;
    if (this.#held === 0 && this.localEnded) this.shutWrite();
    this.tellWritable();
  }

  freeTransport(): void {
    openssl.SSL_free(this.#ssl);
    if (this.#borrowed) {
      this.shared.bios.borrowers.delete(this);
      // Asked and not remembered: a close_notify or an alert may be sealed, which `#held` does not count.
      if (openssl.BIO_ctrl(this.#bio, BIO_CTRL_INFO, 0, 0) === 0) this.shared.bios.give(this.#bio);
      else openssl.BIO_free(this.#bio);
    }
    this.#held = 0;
    this.#context.release();
  }

  returnBio(): void {
    if (this.#sentSinceSweep || this.#held > 0 || this.localEnded) {
      this.#sentSinceSweep = false;
      return;
    }
    const grown = this.#bio;
    this.#replaceBio(makeMemoryBio());
    this.#borrowed = false;
    this.shared.bios.borrowers.delete(this);
    this.shared.bios.give(grown);
  }

  protected override onNeverOpened(error: AmbitError | null): void {
    this.shared.counters.handshakesFailed += 1;
    this.#handshake?.onHandshakeFailed(error ?? tlsHandshakeFailed(this.#peerText(), this.dialled, 'it was closed'));
  }

  /** Frees what the handshake left and nobody needs: certificates, and a write BIO that has grown to 2 KB. */
  #settle(): void {
    if (this.closed) return;
    forgetPeerCertificates(this.#ssl);
    if (this.#held === 0 && !this.#borrowed && !this.localEnded) this.#replaceBio(makeMemoryBio());
  }

  #borrowBio(): void {
    const grown = this.shared.bios.take();
    openssl.BIO_up_ref(grown);
    this.#replaceBio(grown);
    this.#borrowed = true;
    this.shared.bios.borrowers.add(this);
  }

  /** Only while nothing is held, nor a close_notify sealed: the old one goes, with OpenSSL's reference to it. */
  #replaceBio(bio: number): void {
    this.#bio = bio;
    openssl.SSL_set0_wbio(this.#ssl, bio);
  }

  /** One `write` of all that is sealed. What was taken is skipped in the BIO by a seek, which copies and clears nothing. */
  #flush(): void {
    const total = openssl.BIO_ctrl(this.#bio, BIO_CTRL_INFO, 0, answerAddress);
    let taken = 0;
    if (total > 0) {
      taken = libc.write(this.fd, answeredAddress(), total);
      if (taken < 0) {
        const errno = lastErrno();
        if (errno !== EAGAIN && errno !== EINTR) {
          this.release(this.#broken('the peer closed it', false));
          return;
        }
        taken = 0;
      }
      // Only a BIO that was half taken before starts elsewhere than at 0: appending moves its rest to the front.
      const start = this.#blocked ? openssl.BIO_ctrl(this.#bio, BIO_C_FILE_TELL, 0, 0) : 0;
      openssl.BIO_ctrl(this.#bio, BIO_C_FILE_SEEK, start + taken, 0);
      if (total > BIO_SMALL_BYTES && !this.#borrowed) this.#keepGrown();
    }
    this.#setHeld(total - taken);
    const blocked = this.#held > 0;
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    this.watchWrites(blocked);
  }

  /** Many small writes made the own BIO a grown one. */
  #keepGrown(): void {
    openssl.BIO_up_ref(this.#bio);
    this.#borrowed = true;
    this.shared.bios.borrowers.add(this);
  }

  #setHeld(bytes: number): void {
    this.shared.counters.queuedBytes += bytes - this.#held;
    this.#held = bytes;
  }

  /** Reads the error queue, so that it is empty for the next connection. */
  #failure(status: number): string {
    const verification = verifyFailure(this.#ssl);
    const errors = drainTlsErrors();
    if (verification !== null) return verification;
    if (errors !== '') return errors.slice(0, TLS_REASON_MAX_CHARS);
    return status === SSL_ERROR_SYSCALL ? 'the peer closed the connection' : `TLS error ${status}`;
  }

  /**
   * A TLS 1.3 client hears of the server's refusal only after its own handshake: as an alert, before any data. Without
   * one nobody knows what the server did with what it was sent.
   */
  #broken(reason: string, alerted: boolean): AmbitError {
    if (this.tls === null || (alerted && this.dialled && !this.#received)) {
      return tlsHandshakeFailed(this.#peerText(), this.dialled, reason);
    }
    const error = connectionReset(this.#peerText(), this.dialled);
    error.message += `: ${reason}`;
    return error;
  }

  #peerText(): string {
    return addressText(this.remote.ip, this.remote.port);
  }
}
