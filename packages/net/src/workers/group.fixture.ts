/** What the tests of parent and children share: a group of echo children, its log, and clients that never retry. */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '@ambit/base/log';
import { bindSocket, listenSocket, localAddress, openSocket } from '@ambit/platform/socket';
import { createReactor, type Reactor } from '../reactor/index.ts';
import { type Json, WorkerGroup, type WorkerLimits } from './index.ts';

export const ECHO_CHILD = new URL('./echo-child.fixture.ts', import.meta.url);

export interface Event {
  readonly atMs: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface GroupFixture {
  readonly reactor: Reactor;
  readonly group: WorkerGroup;
  readonly port: number;
  readonly events: Event[];
  readonly lines: string[];
  readonly messages: { readonly pid: number; readonly body: Json }[];
  /** What a new child is given. */
  readonly state: Json[];
  /** Waits until that many children have joined since the beginning. */
  joined(count: number): Promise<void>;
  eventsOf(event: string): Event[];
}

export interface FixtureOptions {
  readonly count: number;
  readonly limits?: Partial<WorkerLimits>;
  readonly entry?: URL;
}

/** `use` gets a group whose children have joined; afterwards everything is closed. */
export async function withGroup(options: FixtureOptions, use: (fixture: GroupFixture) => Promise<void>): Promise<void> {
  const reactor = createReactor();
  const fd = listeningSocket();
  const events: Event[] = [];
  const log = createLog({
    level: 'debug',
    clock: { nowMs: () => performance.now() },
    format: ({ atMs, event, fields }) => JSON.stringify({ atMs, event, fields }),
    sink: (line) => events.push(JSON.parse(line) as Event),
  });
  const eventsOf = (event: string): Event[] => events.filter((each) => each.event === event);
  const lines: string[] = [];
  const state: Json[] = [];
  const messages: { pid: number; body: Json }[] = [];
  const group = new WorkerGroup({
    reactor,
    count: options.count,
    entry: options.entry ?? ECHO_CHILD,
    log,
    snapshot: () => state,
    onMessage: (body, pid) => messages.push({ pid, body }),
    onLogLine: (line) => lines.push(line),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const fixture: GroupFixture = {
    reactor,
    group,
    port: localAddress(fd).port,
    events,
    lines,
    messages,
    state,
    joined: (count) => until(() => eventsOf('child joined').length >= count, `${count} children have joined`),
    eventsOf,
  };
  group.addListener({ id: 'echo', fd, purpose: 'echo' });
  try {
    if (options.entry === undefined) await fixture.joined(options.count);
    await use(fixture);
  } finally {
    await group.close({ drainMs: 0 });
    await reactor.close();
  }
}

/** On a free port of loopback. */
export function listeningSocket(): number {
  const fd = openSocket({ family: 4, type: 'stream' });
  bindSocket(fd, '127.0.0.1', 0);
  listenSocket(fd, 128);
  return fd;
}

/** Fails, saying what it waited for, instead of hanging. */
export async function until(condition: () => boolean, what: string, timeoutMs = 15_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(5);
  }
}

/** A zombie is gone: when it is reaped is up to whoever adopted it. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A connection to an echo child, once the child has greeted. */
export interface EchoClient {
  readonly socket: Socket;
  /** The pid that serves it. */
  readonly pid: number;
}

/** Rejects with the socket's error; there is no second attempt. */
export async function openEcho(port: number): Promise<EchoClient> {
  const socket = connect(port, '127.0.0.1');
  const greeting = await nextText(socket);
  return { socket, pid: Number(greeting) };
}

export async function echo({ socket }: EchoClient, text: string): Promise<string> {
  socket.write(text);
  return nextText(socket);
}

function nextText(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const onClose = (): void => reject(new Error('closed'));
  socket.once('data', (bytes) => {
    socket.off('close', onClose);
    socket.off('error', reject);
    resolve(String(bytes));
  });
  socket.once('error', reject);
  socket.once('close', onClose);
  return promise;
}
