import { engineConformance } from '@ambit/testkit/engine-conformance';
import { MemoryNetwork } from './network.ts';

const BLACKHOLE = { ip: '192.0.2.1', port: 80 };

for (const seed of [1, 2]) {
  engineConformance(`memory engine, seed ${seed}`, () => {
    const network = new MemoryNetwork({ seed });
    network.drop(BLACKHOLE.ip, BLACKHOLE.port);
    return {
      client: network.engine('client'),
      server: network.engine('server'),
      blackhole: () => BLACKHOLE,
      settle: (done, timeoutMs) => network.settle(done, timeoutMs),
      close: () => network.run(network.schedule.nowMs + 1000),
    };
  });
}
