/**
 * `rr`: a message there and back, over and over, on connections that stay. `crr`: the same on a new connection each
 * time, opening it included. For a fixed time after a warm-up; every reply is compared with its request.
 */
import { Region } from '@ambit/platform/region';
import { percentile } from '../statistics.ts';
import { LATENCIES_MAX, MESSAGE_BYTES } from './limits.ts';
import { type Measured, Meter } from './meter.ts';
import { mapPattern, matchesPattern, phaseOf } from './pattern.ts';
import { Poller } from './poller.ts';
import type { Figures, Load, LoadRequest } from './request.ts';
import { readInto, writeFrom } from './sockets.ts';
import { type Route, Tunnel } from './tunnel.ts';

type RequestLoad = Extract<Load, { kind: 'rr' | 'crr' }>;

const pattern = mapPattern();
const message = Region.map(MESSAGE_BYTES);

export function runRequests(request: LoadRequest, load: RequestLoad): Figures {
  const poller = new Poller();
  const route: Route = { target: { ip: request.targetIp, port: request.targetPorts.echo }, entry: request.entry };
  const window = new Window(new Meter(request), load.warmupMs, load.durationMs);
  for (let i = 0; i < load.connections; i++) new Caller(poller, route, window, load.kind === 'crr');
  poller.run(() => window.measured !== null);
  const { seconds, subjectCpuSeconds, loadCores } = window.measured as Measured;
  const latencies = window.latenciesUs.subarray(0, window.count).sort();
  return {
    perSecond: window.count / seconds,
    p50Us: percentile(latencies, 0.5),
    p99Us: percentile(latencies, 0.99),
    cpuUsEach: (subjectCpuSeconds * 1e6) / window.count,
    loadCores,
  };
}

/** Opens at the first reply after the warm-up and closes at the first reply after its duration. */
class Window {
  measured: Measured | null = null;
  count = 0;
  readonly latenciesUs = new Float32Array(LATENCIES_MAX);
  /** Distinct for each message, so that a reply to another's request is noticed. */
  messages = 0;
  readonly #meter: Meter;
  readonly #durationMs: number;
  #opensMs: number;
  #closesMs = Number.POSITIVE_INFINITY;

  constructor(meter: Meter, warmupMs: number, durationMs: number) {
    this.#meter = meter;
    this.#durationMs = durationMs;
    this.#opensMs = performance.now() + warmupMs;
  }

  record(sentMs: number, nowMs: number): void {
    if (nowMs >= this.#closesMs) {
      this.measured ??= this.#meter.stop();
    } else if (nowMs >= this.#opensMs) {
      if (this.#closesMs === Number.POSITIVE_INFINITY) {
        this.#meter.start();
        this.#closesMs = performance.now() + this.#durationMs;
      } else if (this.count < LATENCIES_MAX) {
        this.latenciesUs[this.count++] = (nowMs - sentMs) * 1000;
      } else throw new Error(`more than ${LATENCIES_MAX} replies in one run: shorten it`);
    }
  }
}

class Caller extends Tunnel {
  readonly #window: Window;
  readonly #again: (() => void) | null;
  #sentMs = performance.now();
  #phase = 0;
  #received = 0;

  constructor(poller: Poller, route: Route, window: Window, once: boolean) {
    super(poller, route);
    this.#window = window;
    this.#again = once ? () => new Caller(poller, route, window, true) : null;
  }

  protected onOpen(): void {
    if (this.#again === null) this.#sentMs = performance.now();
    this.#send();
  }

  protected onEvents(): void {
    const wanted = MESSAGE_BYTES - this.#received;
    const count = readInto(this.fd, message.at(0, wanted), wanted);
    if (count === 0) throw new Error('the connection ended before the reply');
    if (count < 0) return;
    if (!matchesPattern(message.bytes, count, pattern.bytes, this.#phase + this.#received)) {
      throw new Error('a reply differs from its request');
    }
    this.#received += count;
    if (this.#received === MESSAGE_BYTES) this.#onReply();
  }

  #onReply(): void {
    const now = performance.now();
    this.#window.record(this.#sentMs, now);
    if (this.#window.measured !== null) return;
    if (this.#again === null) {
      this.#sentMs = now;
      this.#send();
    } else {
      this.close();
      this.#again();
    }
  }

  #send(): void {
    this.#received = 0;
    this.#phase = phaseOf(this.#window.messages++ * MESSAGE_BYTES);
    const sent = writeFrom(this.fd, pattern.at(this.#phase, MESSAGE_BYTES), MESSAGE_BYTES);
    if (sent !== MESSAGE_BYTES) throw new Error('no room for a request');
  }
}
