/**
 * Connections that have carried one message and then stay silent. At each level the process says so on stdout and
 * waits for a byte on stdin, so that the bench can read the subject's memory; then all are closed and it says so too.
 */
import { libc } from '@ambit/platform/ffi';
import { Region } from '@ambit/platform/region';
import { MESSAGE_BYTES, OPENING_AT_ONCE } from './limits.ts';
import { mapPattern, matchesPattern } from './pattern.ts';
import { Poller, READABLE } from './poller.ts';
import type { Figures, Load, LoadRequest } from './request.ts';
import { readInto, writeFrom } from './sockets.ts';
import { writeLine } from './stdout.ts';
import { type Route, Tunnel } from './tunnel.ts';

type IdleLoad = Extract<Load, { kind: 'idle' }>;

const pattern = mapPattern();
const message = Region.map(MESSAGE_BYTES);
const STDIN = 0;

export function runIdle(request: LoadRequest, load: IdleLoad): Figures {
  const poller = new Poller();
  const route: Route = { target: { ip: request.targetIp, port: request.targetPorts.echo }, entry: request.entry };
  const held: Held[] = [];
  const progress = { settled: 0, told: 0 };
  const input = Region.map(1);
  poller.add(STDIN, READABLE, {
    onReady: () => {
      if (libc.read(STDIN, input.at(0, 1), 1) <= 0) process.exit(1);
      progress.told++;
    },
  });
  let stops = 0;
  const stop = (reached: string): void => {
    stops++;
    writeLine(JSON.stringify({ reached }));
    poller.run(() => progress.told === stops, true);
  };
  for (const level of load.levels) {
    while (progress.settled < level) {
      while (held.length < Math.min(level, progress.settled + OPENING_AT_ONCE)) {
        held.push(new Held(poller, route, progress));
      }
      const before = progress.settled;
      poller.run(() => progress.settled > before);
    }
    stop(String(level));
  }
  for (const connection of held) connection.close();
  stop('closed');
  return { connections: held.length };
}

class Held extends Tunnel {
  readonly #progress: { settled: number };
  #received = 0;

  constructor(poller: Poller, route: Route, progress: { settled: number }) {
    super(poller, route);
    this.#progress = progress;
  }

  protected onOpen(): void {
    if (writeFrom(this.fd, pattern.at(0, MESSAGE_BYTES), MESSAGE_BYTES) !== MESSAGE_BYTES) throw new Error('no room');
  }

  protected onEvents(): void {
    const count = readInto(this.fd, message.at(0, MESSAGE_BYTES), MESSAGE_BYTES);
    if (count === 0) throw new Error('an idle connection was closed');
    if (count < 0) return;
    if (!matchesPattern(message.bytes, count, pattern.bytes, this.#received)) throw new Error('a reply was changed');
    this.#received += count;
    if (this.#received === MESSAGE_BYTES) this.#progress.settled++;
  }
}
