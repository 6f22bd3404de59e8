/**
 * One connection of a pod from its arrival to its end, whichever way it goes:
 *
 *   waiting (its destination is not clear) -> opened (told to the observer; dialling) -> carried (bytes flow) -> over
 *
 * It holds what must be undone in each state, so that a client that leaves, a policy that changes, a drain and a fault of
 * ours all end it in one way: the observer hears of it once, and nothing of it stays open.
 */
import { AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Call } from '@ambit/model/call';
import type { Decision } from '@ambit/model/decision';
import type { PolicySet } from '@ambit/model/policy-set';
import type { CopyObserver, CopyPair, CopyResult } from '@ambit/net/copy';
import type { EngineTimer, SocketAddress } from '@ambit/net/engine';
import type { Denial } from '@ambit/telemetry/access-log';
import type { ResponseFlag } from '@ambit/telemetry/traffic-labels';
import type { ConnectionFacts, ConnectionFailure, ConnectionTracker, Direction } from './connection-facts.ts';
import type { ConnectionSet } from './connection-set.ts';
import { podError } from './errors.ts';
import { carriedFlag, connectFlag } from './failure-flags.ts';
import type { LiveConnection, LiveEntry } from './live-connections.ts';

/** The client's side until bytes flow: a socket that is not read, or a CONNECT without an answer. */
export interface PendingClient {
  abort(error: AmbitError): void;
}

export class PodConnection implements CopyObserver, LiveConnection {
  readonly direction: Direction;
  readonly client: SocketAddress;
  readonly destination: SocketAddress;
  facts: ConnectionFacts | null = null;
  over = false;
  readonly #set: ConnectionSet;
  readonly #pending: PendingClient;
  /** What is waited for: to be cancelled when nobody wants it any more. */
  #step: EngineTimer | null = null;
  #tracker: ConnectionTracker | null = null;
  #live: LiveEntry | null = null;
  #pair: CopyPair | null = null;
  /** Why we cut it ourselves. */
  #cutFailure: ConnectionFailure | null = null;

  constructor(
    set: ConnectionSet,
    direction: Direction,
    client: SocketAddress,
    destination: SocketAddress,
    pending: PendingClient,
  ) {
    this.#set = set;
    this.direction = direction;
    this.client = client;
    this.destination = destination;
    this.#pending = pending;
  }

  get receivedBytes(): number {
    return this.#pair?.receivedBytes ?? 0;
  }

  get sentBytes(): number {
    return this.#pair?.sentBytes ?? 0;
  }

  /** Does a part of the work. What it throws costs this connection; all but an error of operation is a bug of ours. */
  run(work: () => void): void {
    if (this.over) return;
    try {
      work();
    } catch (thrown) {
      if (!(thrown instanceof AmbitError)) this.#set.faults += 1;
      this.cut(asAmbitError(thrown));
    }
  }

  /** The next thing that happens to it comes from there. */
  waitFor(step: EngineTimer): void {
    if (this.over) step.cancel();
    else this.#step = step;
  }

  open(facts: ConnectionFacts): void {
    this.facts = facts;
    this.#tracker = this.#set.observer.opened(facts);
  }

  /** From now on a changed policy may cut it. */
  watchPolicies(call: Call): void {
    this.#live = this.#set.live.add(call, this);
  }

  carry(pair: CopyPair): void {
    this.#step = null;
    this.#pair = pair;
    this.#tracker?.carrying(pair);
  }

  /** The client is told; the observer hears the message. Before bytes flow. */
  fail(error: AmbitError, denial: Denial | null = null): void {
    if (this.over) return;
    try {
      this.#end(failureOf(connectFlag(error), error, denial));
    } finally {
      this.#pending.abort(error);
    }
  }

  clientLeft(): void {
    if (this.over) return;
    const error = podError('POD_CLIENT_LEFT', 'the client left before there was a connection to the destination');
    this.#end(failureOf(connectFlag(error), error));
  }

  /** Ends it in any state. */
  cut(error: AmbitError, denial: Denial | null = null): void {
    if (this.over) return;
    if (this.#pair === null) {
      this.fail(error, denial);
      return;
    }
    this.#cutFailure ??= failureOf(connectFlag(error), error, denial);
    this.#pair.abort(error);
  }

  forbid(call: Call, policies: PolicySet, decision: Decision | null): void {
    this.run(() => {
      const denial = decision === null ? null : this.#set.denials.reasonsOf(decision, policies, call);
      this.cut(podError('POD_POLICY_CHANGED', 'connection closed due to policy change'), denial);
    });
  }

  onDone({ error }: CopyResult): void {
    const flag = error === null ? null : carriedFlag(error);
    this.#end(this.#cutFailure ?? (error === null || flag === null ? null : failureOf(flag, error)));
  }

  #end(failure: ConnectionFailure | null): void {
    if (this.over) return;
    this.over = true;
    this.#step?.cancel();
    this.#step = null;
    if (this.#live !== null) this.#set.live.remove(this.#live);
    this.#set.ended(this);
    const { observer } = this.#set;
    if (this.#tracker !== null) this.#tracker.closed(this.receivedBytes, this.sentBytes, failure);
    else observer.rejected(this.direction, this.client, this.destination, failure?.message ?? 'the connection ended');
  }
}

function failureOf(flag: ResponseFlag, { message }: AmbitError, denial: Denial | null = null): ConnectionFailure {
  return { flag, message, denial };
}
