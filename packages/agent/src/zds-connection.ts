/**
 * One proxy, from its hello to its end: first the snapshot, then what changes, with one message outstanding and its
 * answer within 5 s, as istio-cni (pkg/nodeagent/ztunnelserver.go). A proxy that breaks this is given up; it comes again
 * and gets a new snapshot, which is how everything heals.
 */
import { asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import type { EngineTimer } from '@ambit/net/engine';
import type { Reactor } from '@ambit/net/reactor';
import { RecordLink, type RecordOwner } from '@ambit/net/records';
import { ZDS_RECORD_MAX_BYTES } from '@ambit/wire/limits';
import { decodeZdsAck, decodeZdsHello, encodeZdsRequest, type ZdsRequest } from '@ambit/wire/zds';
import type { KnownPods } from './known-pods.ts';
import type { ZdsServerLimits } from './limits.ts';

export type ZdsOutcome =
  | { readonly is: 'done' }
  /** The proxy answered with an error; Istio's keeps trying an add by itself. */
  | { readonly is: 'refused'; readonly error: string }
  /** There was no proxy to tell, or it went before it answered. */
  | { readonly is: 'untold'; readonly reason: string };

export interface ZdsConnectionOwner {
  /** It said hello: from now on it may be the newest. */
  onHello(connection: ZdsConnection): void;
  /** Once and last. */
  onEnd(connection: ZdsConnection, fault: string | null): void;
}

export interface ZdsConnectionDeps {
  readonly reactor: Reactor;
  readonly pods: KnownPods;
  readonly limits: ZdsServerLimits;
  readonly log: Log;
}

interface Order {
  readonly kind: 'add' | 'del';
  readonly uid: string;
  settle(outcome: ZdsOutcome): void;
}

type Phase =
  | { readonly is: 'hello' }
  /** What is left to name. */
  | { readonly is: 'snapshot'; readonly uids: string[] }
  | { readonly is: 'live' };

export class ZdsConnection implements RecordOwner {
  readonly #deps: ZdsConnectionDeps;
  readonly #owner: ZdsConnectionOwner;
  readonly #link: RecordLink;
  /** Pods that it acknowledged. */
  readonly #told = new Set<string>();
  #phase: Phase = { is: 'hello' };
  #orders: Order[] = [];
  /** Called with the answer to the outstanding message: empty for success. */
  #onAnswer: ((error: string) => void) | null = null;
  #deadline: EngineTimer;
  #ended = false;

  /** The descriptor is the connection's from now on. */
  constructor(deps: ZdsConnectionDeps, fd: number, owner: ZdsConnectionOwner) {
    this.#deps = deps;
    this.#owner = owner;
    this.#link = new RecordLink(deps.reactor, fd, { recordMaxBytes: ZDS_RECORD_MAX_BYTES, fdsMax: 0 }, this);
    this.#deadline = this.#startDeadline('hello');
  }

  hasTold(uid: string): boolean {
    return this.#told.has(uid);
  }

  add(uid: string): Promise<ZdsOutcome> {
    return this.#order('add', uid);
  }

  remove(uid: string): Promise<ZdsOutcome> {
    return this.#order('del', uid);
  }

  close(fault: string | null): void {
    this.#link.close();
    this.onEnd(fault);
  }

  onRecord(record: Uint8Array): void {
    if (this.#phase.is === 'hello') {
      this.#onHello(record);
      return;
    }
    const onAnswer = this.#onAnswer;
    if (onAnswer === null) {
      this.close('it spoke without being asked');
      return;
    }
    const ack = decodeZdsAck(record);
    if (ack.kind === 'refused') {
      this.close(ack.reason);
      return;
    }
    this.#deadline.cancel();
    this.#onAnswer = null;
    onAnswer(ack.error);
    this.#sendNext();
  }

  onEnd(problem: string | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deadline.cancel();
    const orders = this.#orders;
    this.#orders = [];
    this.#onAnswer = null;
    for (const order of orders) order.settle({ is: 'untold', reason: problem ?? 'the proxy disconnected' });
    this.#owner.onEnd(this, problem);
  }

  #onHello(record: Uint8Array): void {
    const hello = decodeZdsHello(record);
    if (hello.kind === 'refused') {
      this.close(hello.reason);
      return;
    }
    this.#deadline.cancel();
    this.#phase = { is: 'snapshot', uids: [...this.#deps.pods.uids()].reverse() };
    this.#owner.onHello(this);
    this.#sendNext();
  }

  #order(kind: Order['kind'], uid: string): Promise<ZdsOutcome> {
    const { promise, resolve } = Promise.withResolvers<ZdsOutcome>();
    this.#orders.push({ kind, uid, settle: resolve });
    if (this.#orders.length > this.#deps.limits.queueMax) this.close('it is too far behind');
    else if (this.#onAnswer === null) this.#sendNext();
    return promise;
  }

  /** Sends one message at most; those that turn out to be needless are passed over. */
  #sendNext(): void {
    while (this.#onAnswer === null && !this.#ended) {
      if (this.#phase.is === 'hello') return;
      if (this.#phase.is === 'snapshot') {
        const uid = this.#phase.uids.pop();
        if (uid === undefined) this.#endSnapshot();
        else this.#nameInSnapshot(uid);
        continue;
      }
      const order = this.#orders[0];
      if (order === undefined) return;
      this.#sendOrder(order);
    }
  }

  #nameInSnapshot(uid: string): void {
    const pod = this.#deps.pods.get(uid);
    if (pod === undefined) return; // it went meanwhile
    if (pod.namespaceFd === null) {
      this.#send({ kind: 'keep', uid }, [], (error) => this.#noteSnapshotError(uid, error));
      return;
    }
    this.#sendAdd(uid, (error) => {
      if (error === '') this.#told.add(uid);
      else this.#noteSnapshotError(uid, error);
    });
  }

  #endSnapshot(): void {
    this.#send({ kind: 'snapshot-sent' }, [], (error) => {
      this.#noteSnapshotError('', error);
      this.#phase = { is: 'live' };
    });
  }

  /** The outstanding order stays first in the queue until it is answered. */
  #sendOrder(order: Order): void {
    const { kind, uid } = order;
    const settle = (outcome: ZdsOutcome): void => {
      this.#orders.shift();
      order.settle(outcome);
    };
    const onAnswer = (error: string): void => {
      if (kind === 'add' && error === '') this.#told.add(uid);
      else this.#told.delete(uid);
      settle(error === '' ? { is: 'done' } : { is: 'refused', error });
    };
    if (kind === 'del') this.#send({ kind, uid }, [], onAnswer);
    else if (this.#deps.pods.get(uid)?.namespaceFd == null) settle({ is: 'untold', reason: 'the pod went meanwhile' });
    else this.#sendAdd(uid, onAnswer);
  }

  #sendAdd(uid: string, onAnswer: (error: string) => void): void {
    const pod = this.#deps.pods.get(uid);
    if (pod === undefined || pod.namespaceFd === null) return;
    const { name, namespace, serviceAccount, namespaceFd } = pod;
    this.#send({ kind: 'add', uid, pod: { name, namespace, serviceAccount } }, [namespaceFd], onAnswer);
  }

  #send(request: ZdsRequest, fds: readonly number[], onAnswer: (error: string) => void): void {
    let record: Uint8Array;
    try {
      record = encodeZdsRequest(request);
    } catch (thrown) {
      onAnswer(asAmbitError(thrown).message); // as if the proxy had refused it: this pod cannot be told of
      return;
    }
    this.#onAnswer = onAnswer;
    this.#deadline = this.#startDeadline(request.kind);
    const problem = this.#link.send(record, fds);
    if (problem !== null) this.close(`it was not told: ${problem}`);
  }

  #startDeadline(what: string): EngineTimer {
    const { answerMs } = this.#deps.limits;
    return this.#deps.reactor.after(answerMs, () => this.close(`no answer within ${answerMs} ms: ${what}`));
  }

  #noteSnapshotError(uid: string, error: string): void {
    if (error !== '') this.#deps.log.error('proxy refused a part of the snapshot', { uid, error });
  }
}
