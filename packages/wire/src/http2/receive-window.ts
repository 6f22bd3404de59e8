/** Credit given to the peer, for a stream or for the connection (RFC 9113 sections 5.2 and 6.9). */
export class ReceiveWindow {
  /** What the window is held at: what the peer may send, what lies here unread and what is owed, together. */
  sizeBytes: number;
  /** What the peer may still send. Negative after SETTINGS made the window smaller. */
  availableBytes: number;
  /** Read, but not yet given back. */
  owedBytes = 0;

  constructor(sizeBytes: number, availableBytes: number) {
    this.sizeBytes = sizeBytes;
    this.availableBytes = availableBytes;
  }

  /** False: the peer sent more than it may. */
  charge(bytes: number): boolean {
    if (bytes > this.availableBytes) return false;
    this.availableBytes -= bytes;
    return true;
  }

  /**
   * Returns the increment to announce, 0 while less than half the window is owed: few and large updates. A window below
   * `growToBytes` doubles with the update.
   */
  credit(bytes: number, growToBytes: number): number {
    this.owedBytes += bytes;
    if (this.owedBytes === 0 || this.owedBytes * 2 < this.sizeBytes) return 0;
    let increment = this.owedBytes;
    if (this.sizeBytes < growToBytes) {
      const grownBytes = Math.min(this.sizeBytes * 2, growToBytes);
      increment += grownBytes - this.sizeBytes;
      this.sizeBytes = grownBytes;
    }
    this.owedBytes = 0;
    this.availableBytes += increment;
    return increment;
  }
}
