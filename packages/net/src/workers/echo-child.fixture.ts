/** A data child for tests: greets with its pid, echoes, and does what state messages tell it. */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Connection } from '../engine.ts';
import { createReactor } from '../reactor/index.ts';
import { type Json, joinParent } from './index.ts';

const reactor = createReactor();
const listeners = new Map<string, { close(): void }>();
const open = new Set<Connection>();
let onEmpty = (): void => {};

const parent = joinParent({
  reactor,
  limits: { faultsMax: 3, pingIntervalMs: 100, drainMs: 5000 },
  onListener(purpose, fd, id) {
    if (purpose !== 'echo') throw new Error(`an unknown purpose: ${JSON.stringify(purpose)}`);
    listeners.set(id, reactor.listen({ ip: '', port: 0, fd }, echo));
  },
  onListenerRemoved(id) {
    listeners.get(id)?.close();
    listeners.delete(id);
  },
  onMessage: (epoch, body) => obey(epoch, body),
  async onDrain() {
    parent.log('draining');
    const { promise, resolve } = Promise.withResolvers<void>();
    onEmpty = resolve;
    if (open.size === 0) resolve();
    await promise;
    parent.log('drained');
  },
});

function echo(connection: Connection): void {
  open.add(connection);
  const greeting = new TextEncoder().encode(`${process.pid}\n`);
  connection.receive({
    creditBytes: () => connection.writableBytes(),
    onData(bytes, offset, length) {
      const text = new TextDecoder().decode(bytes.subarray(offset, offset + length));
      if (text.startsWith('fault')) throw new Error('asked to');
      if (text.startsWith('block')) block(Number(text.slice(5)));
      connection.write(bytes, offset, length);
    },
    onEnd: () => connection.end(),
    onWritable: () => connection.resume(),
    onClose() {
      open.delete(connection);
      if (open.size === 0) onEmpty();
    },
  });
  connection.write(greeting, 0, greeting.length);
}

function obey(epoch: number, body: Json): void {
  if (body === 'block') block(60_000);
  else if (body === 'crash') throw process.abort();
  else if (body === 'refuse') throw new Error('a state that cannot be applied');
  else if (body === 'descriptors') parent.send(descriptors());
  else if (body === 'log') for (let i = 0; i < 20_000; i++) parent.log(`line ${i}`);
  else if (body === 'complain') process.stderr.write('a complaint\n');
  else if (body === 'oversize') parent.send('x'.repeat(100_000));
  else parent.send({ epoch, body });
}

function descriptors(): string[] {
  const found: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      found.push(`${fd} ${readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]/, '')}`);
    } catch {
      // the directory being read
    }
  }
  return found;
}

function block(forMs: number): void {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs);
}
