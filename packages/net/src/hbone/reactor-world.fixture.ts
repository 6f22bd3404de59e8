/** Two reactors on loopback and real time, as the world of the HBONE suites. */
import { createReactor } from '@ambit/net/reactor';
import type { HboneWorld } from '@ambit/testkit/hbone-world';

const POLL_MS = 1;
const TIMEOUT_MS = 60_000;

export function reactorWorld(): HboneWorld {
  const clientEngine = createReactor();
  const serverEngine = createReactor();
  return {
    clientEngine,
    serverEngine,
    clientIp: '127.0.0.1',
    serverIp: '127.0.0.2',
    otherServerIp: '127.0.0.3',
    until,
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    close: async () => {
      await clientEngine.close();
      await serverEngine.close();
    },
  };
}

async function until(done: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  while (!done()) {
    if (performance.now() > deadlineMs) throw new Error(`not settled within ${TIMEOUT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
