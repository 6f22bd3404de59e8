/** Two reactors on loopback and real time, as a world of the conformance suite. */
import {
  bindSocket,
  closeDescriptor,
  connectSocket,
  listenSocket,
  localAddress,
  openSocket,
} from '@ambit/platform/socket';
import type { EngineWorld } from '@ambit/testkit/engine-conformance';
import { createReactor } from './index.ts';

const LOOPBACK = '127.0.0.1';
const POLL_MS = 1;

export function reactorWorld(): EngineWorld {
  const descriptors: number[] = [];
  return {
    client: createReactor(),
    server: createReactor(),
    blackhole: () => fullBacklog(descriptors),
    settle,
    close: () => {
      for (const fd of descriptors.splice(0)) closeDescriptor(fd);
    },
  };
}

async function settle(done: () => boolean, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!done()) {
    if (performance.now() > deadlineMs) throw new Error(`not settled within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Linux drops every further SYN for a listener whose accept queue is full: one above a backlog of 0. */
function fullBacklog(descriptors: number[]): { ip: string; port: number } {
  const listening = openSocket({ family: 4, type: 'stream' });
  descriptors.push(listening);
  bindSocket(listening, LOOPBACK, 0);
  listenSocket(listening, 0);
  const { port } = localAddress(listening);
  for (let i = 0; i < 2; i++) {
    const fd = openSocket({ family: 4, type: 'stream' });
    descriptors.push(fd);
    connectSocket(fd, LOOPBACK, port);
  }
  return { ip: LOOPBACK, port };
}
