/** The product's engine with verification on: SOCKS5 in, HBONE in mutual TLS to itself, plain TCP to the target. */
import { join } from 'node:path';
import type { Child, Children } from '../children.ts';
import { START_TIMEOUT_MS, type Subject } from './subject.ts';

const PROXY = join(import.meta.dirname, 'ours-proxy.ts');

export const ours: Subject = {
  name: 'ours',
  unavailable: () => null,
  start: async (children, { unpooled, split }) => {
    const pooling = unpooled ? 'unpooled' : 'pooled';
    if (!split) {
      const both = await start(children, ['both', pooling]);
      return {
        entry: both.address,
        pids: [both.child.pid],
        split: false,
        descriptorsEach: unpooled ? 4 : 2,
        stop: () => both.child.stop(),
      };
    }
    const exit = await start(children, ['exit', pooling]);
    const entry = await start(children, ['entry', pooling, String(exit.address.port)]);
    const stop = async (): Promise<void> => {
      await entry.child.stop();
      await exit.child.stop();
    };
    return {
      entry: entry.address,
      pids: [entry.child.pid, exit.child.pid],
      split: true,
      descriptorsEach: unpooled ? 2 : 1,
      stop,
    };
  },
};

interface Started {
  readonly child: Child;
  readonly address: { readonly ip: string; readonly port: number };
}

/** The proxy says on one line where it listens. */
async function start(children: Children, args: readonly string[]): Promise<Started> {
  const child = children.start(process.execPath, [PROXY, ...args]);
  return { child, address: JSON.parse(await child.line(START_TIMEOUT_MS)) as Started['address'] };
}
