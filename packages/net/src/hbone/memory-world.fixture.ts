/** A simulated network as the world of the HBONE suites. */
import type { MemoryNetwork } from '@ambit/net/memory';
import type { HboneWorld } from '@ambit/testkit/hbone-world';

export function memoryWorld(network: MemoryNetwork): HboneWorld {
  const clientEngine = network.engine('client', { ips: ['10.0.0.1'] });
  const serverEngine = network.engine('server', { ips: ['10.0.0.2', '10.0.0.3'] });
  return {
    clientEngine,
    serverEngine,
    clientIp: '10.0.0.1',
    serverIp: '10.0.0.2',
    otherServerIp: '10.0.0.3',
    until: (done) => network.settle(done, 60_000),
    pass: async (ms) => network.run(clientEngine.nowMs() + ms),
    close: async () => {
      const closed = Promise.all([clientEngine.close(), serverEngine.close()]);
      network.run(clientEngine.nowMs() + 1000);
      await closed;
    },
  };
}
