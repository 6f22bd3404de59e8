/**
 * Asks the nameservers of resolv.conf(5) in turn, each round as often as it says. What one of them answers is passed on,
 * whatever it is, and by the protocol in which the client asked: a truncated answer sends the client to TCP, and us.
 */
import type { EngineTimer, SocketAddress } from '@ambit/net/engine';
import type { DnsProtocol } from './counters.ts';
import { UPSTREAM_PENDING_MAX } from './limits.ts';
import type { Query } from './query.ts';
import { type OnAnswer, TcpTry, UdpTry, type UpstreamDeps } from './upstream-try.ts';

export interface ForwarderOptions {
  readonly nameservers: readonly SocketAddress[];
  /** For one try. */
  readonly timeoutMs: number;
  readonly attempts: number;
  /** The pod's. */
  readonly namespaceFd?: number | undefined;
  readonly mark?: number | undefined;
  readonly pendingMax?: number | undefined;
}

export class Forwarder {
  readonly options: ForwarderOptions;
  readonly deps: UpstreamDeps;
  readonly #pending = new Set<Exchange>();

  constructor(options: ForwarderOptions, deps: UpstreamDeps) {
    this.options = options;
    this.deps = deps;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** `onAnswer` is called once, with null when nobody answered; at once when too much is waited for already. */
  forward(query: Query, protocol: DnsProtocol, onAnswer: OnAnswer): EngineTimer {
    const exchange = new Exchange(this, query, protocol, (answer) => {
      this.#pending.delete(exchange);
      onAnswer(answer);
    });
    if (this.#pending.size >= (this.options.pendingMax ?? UPSTREAM_PENDING_MAX)) {
      onAnswer(null);
      return exchange;
    }
    this.#pending.add(exchange);
    exchange.next();
    return {
      cancel: () => {
        this.#pending.delete(exchange);
        exchange.cancel();
      },
    };
  }

  /** Nobody is told anything any more. */
  close(): void {
    for (const exchange of this.#pending) exchange.cancel();
    this.#pending.clear();
  }
}

/** One query, until somebody answers it. */
class Exchange implements EngineTimer {
  readonly #forwarder: Forwarder;
  readonly #query: Query;
  readonly #protocol: DnsProtocol;
  readonly #onAnswer: OnAnswer;
  #tries = 0;
  #current: EngineTimer | null = null;

  constructor(forwarder: Forwarder, query: Query, protocol: DnsProtocol, onAnswer: OnAnswer) {
    this.#forwarder = forwarder;
    this.#query = query;
    this.#protocol = protocol;
    this.#onAnswer = onAnswer;
  }

  cancel(): void {
    this.#current?.cancel();
  }

  next(): void {
    const { nameservers, attempts } = this.#forwarder.options;
    while (this.#tries < nameservers.length * attempts) {
      const server = nameservers[this.#tries % nameservers.length]!;
      this.#tries += 1;
      if (this.#ask(server)) return;
    }
    this.#onAnswer(null);
  }

  /** False when there is no way to it: no route, no descriptor, no port. */
  #ask(server: SocketAddress): boolean {
    const { options, deps } = this.#forwarder;
    const { timeoutMs, namespaceFd, mark } = options;
    const Try = this.#protocol === 'udp' ? UdpTry : TcpTry;
    try {
      this.#current = new Try(deps, { server, timeoutMs, namespaceFd, mark }, this.#query, (answer) => {
        if (answer === null) this.next();
        else this.#onAnswer(answer);
      });
      return true;
    } catch {
      return false;
    }
  }
}
