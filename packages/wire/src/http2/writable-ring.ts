/**
 * Streams that wait for the connection's window or the transport's room, served in turn: an intrusive list, so that
 * waiting and leaving cost no allocation.
 */
export interface RingNode {
  ringNext: RingNode | null;
  ringPrevious: RingNode | null;
  inRing: boolean;
}

export class WritableRing<Node extends RingNode> {
  #first: RingNode | null = null;
  #last: RingNode | null = null;
  size = 0;

  push(node: Node): void {
    if (node.inRing) return;
    node.inRing = true;
    node.ringPrevious = this.#last;
    if (this.#last === null) this.#first = node;
    else this.#last.ringNext = node;
    this.#last = node;
    this.size++;
  }

  shift(): Node | null {
    const node = this.#first as Node | null;
    if (node !== null) this.remove(node);
    return node;
  }

  remove(node: Node): void {
    if (!node.inRing) return;
    const { ringNext, ringPrevious } = node;
    if (ringPrevious === null) this.#first = ringNext;
    else ringPrevious.ringNext = ringNext;
    if (ringNext === null) this.#last = ringPrevious;
    else ringNext.ringPrevious = ringPrevious;
    node.ringNext = null;
    node.ringPrevious = null;
    node.inRing = false;
    this.size--;
  }
}
