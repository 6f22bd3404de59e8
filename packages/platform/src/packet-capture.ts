/** Frames as they cross an interface (packet(7)), for showing what a wire carries. Needs CAP_NET_RAW. */
import { assert } from '@ambit/base/assert';
import { EAGAIN, EINTR, lastErrno } from './errno.ts';
import { libc } from './ffi.ts';
import { CAPTURE_BUFFER_BYTES, FRAME_BYTES_MAX } from './limits.ts';
import { withinNamespace } from './namespace.ts';
import { Region } from './region.ts';
import { closeDescriptor, SystemCallError } from './socket.ts';

const AF_PACKET = 17;
const SOCK_RAW_FLAGS = 3 | 0o2004000;
const ETH_P_ALL = 3;
const SIOCGIFINDEX = 0x8933;
const INTERFACE_NAME_BYTES_MAX = 15;
const SOCKADDR_LL_BYTES = 20;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const scratch = Region.map(4096);
const frame = Region.map(FRAME_BYTES_MAX);

export interface CaptureOptions {
  readonly interfaceName: string;
  readonly namespaceFd?: number | undefined;
}

/** Takes both directions, from now on. */
export function openCapture(options: CaptureOptions): Capture {
  return new Capture(options);
}

class Capture {
  /** Readable when there is a frame. */
  readonly fd: number;
  #droppedFrames = 0;

  constructor({ interfaceName, namespaceFd }: CaptureOptions) {
    this.fd = namespaceFd === undefined ? makeSocket() : withinNamespace(namespaceFd, makeSocket);
    if (this.fd < 0) throw new SystemCallError('socket', -this.fd, 'AF_PACKET, which needs CAP_NET_RAW');
    try {
      growBuffer(this.fd);
      bindInterface(this.fd, interfaceName);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The next frame with its link-layer header, valid until the next call on any capture; null when there is none now. */
  next(): Uint8Array | null {
    for (;;) {
      const length = libc.read(this.fd, frame.at(0, FRAME_BYTES_MAX), FRAME_BYTES_MAX);
      if (length >= 0) return frame.bytes.subarray(0, length);
      const errno = lastErrno();
      if (errno === EAGAIN) return null;
      if (errno !== EINTR) throw new SystemCallError('read', errno, 'a captured frame');
    }
  }

  /** Frames that crossed and were not kept: a proof by absence needs this to be 0. */
  droppedFrames(): number {
    scratch.view.setUint32(16, 8, true);
    if (libc.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, scratch.at(0, 8), scratch.at(16, 4)) !== 0) {
      throw new SystemCallError('getsockopt', lastErrno(), 'PACKET_STATISTICS');
    }
    // Reading them resets them.
    this.#droppedFrames += scratch.view.getUint32(4, true);
    return this.#droppedFrames;
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}

export type { Capture };

/** Protocol 0 takes nothing yet: bound to ETH_P_ALL at once, it would take frames of every interface. */
function makeSocket(): number {
  const fd = libc.socket(AF_PACKET, SOCK_RAW_FLAGS, 0);
  return fd < 0 ? -lastErrno() : fd;
}

function growBuffer(fd: number): void {
  scratch.view.setInt32(0, CAPTURE_BUFFER_BYTES, true);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, scratch.at(0, 4), 4) === 0) return;
  throw new SystemCallError('setsockopt', lastErrno(), 'SO_RCVBUFFORCE of a capture');
}

function bindInterface(fd: number, name: string): void {
  const bytes = Buffer.from(name);
  assert(bytes.length > 0 && bytes.length <= INTERFACE_NAME_BYTES_MAX, `an interface has a name, not ${name}`);
  scratch.bytes.fill(0, 0, 64);
  scratch.bytes.set(bytes);
  if (libc.ioctl(fd, SIOCGIFINDEX, scratch.at(0, 40)) !== 0) {
    throw new SystemCallError('ioctl', lastErrno(), `SIOCGIFINDEX of ${name}`);
  }
  const index = scratch.view.getInt32(16, true);
  scratch.bytes.fill(0, 0, SOCKADDR_LL_BYTES);
  scratch.view.setUint16(0, AF_PACKET, true);
  scratch.view.setUint16(2, ETH_P_ALL);
  scratch.view.setInt32(4, index, true);
  if (libc.bind(fd, scratch.at(0, SOCKADDR_LL_BYTES), SOCKADDR_LL_BYTES) === 0) return;
  throw new SystemCallError('bind', lastErrno(), `a capture to ${name}`);
}
