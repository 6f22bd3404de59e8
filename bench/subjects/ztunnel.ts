/**
 * Istio's ztunnel, both hops in one process: dedicated mode, its SOCKS5 listener in, HBONE to itself, to the target on
 * the address of the one workload it knows. Needs a build with the `testing` feature: others refuse FAKE_CA.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TARGET_IP } from '../limits.ts';
import { accepts } from './ports.ts';
import { START_TIMEOUT_MS, type Subject } from './subject.ts';

/** Fixed in ztunnel. */
const SOCKS5_PORT = 15_080;
const READINESS_URL = 'http://127.0.0.1:15021/healthz/ready';
const READINESS_PORT = 15_021;
const POLL_MS = 50;

/** ztunnel reads YAML, of which JSON is a part. */
const WORKLOADS = {
  workloads: [
    {
      uid: 'Kubernetes//Pod/default/peer',
      name: 'peer',
      namespace: 'default',
      serviceAccount: 'default',
      trustDomain: 'cluster.local',
      clusterId: 'Kubernetes',
      network: '',
      workloadIps: [TARGET_IP],
      protocol: 'HBONE',
      node: 'bench',
      services: {},
    },
  ],
};

export const ztunnel: Subject = {
  name: 'ztunnel',
  unavailable: () => {
    const binary = process.env.ZTUNNEL_BIN;
    if (binary === undefined) return "set ZTUNNEL_BIN to a build of Istio's ztunnel with the testing feature";
    return existsSync(binary) ? null : `ZTUNNEL_BIN names no file: ${binary}`;
  },
  start: async (children, { unpooled }) => {
    if ((await accepts(READINESS_PORT)) || (await accepts(SOCKS5_PORT))) {
      throw new Error(`ports ${SOCKS5_PORT} and ${READINESS_PORT} must be free: stop the ztunnel that runs here`);
    }
    const directory = children.temporaryDirectory();
    const workloads = join(directory, 'workloads.yaml');
    writeFileSync(workloads, JSON.stringify(WORKLOADS));
    const child = children.start(process.env.ZTUNNEL_BIN as string, ['proxy'], {
      cwd: directory,
      env: {
        PROXY_MODE: 'dedicated',
        PROXY_WORKLOAD_INFO: 'default/peer/default',
        FAKE_CA: 'true',
        XDS_ADDRESS: '',
        LOCAL_XDS_PATH: workloads,
        UNSTABLE_ENABLE_SOCKS5: 'true',
        ENABLE_ORIG_SRC: 'false',
        IPV6_ENABLED: 'false',
        // In its favour: no line of log per connection.
        RUST_LOG: 'error',
        ...(unpooled ? { POOL_MAX_STREAMS_PER_CONNECTION: '1' } : {}),
      },
    });
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await isReady())) {
      if (child.ended) throw new Error(`ztunnel ended: ${child.complaint()}`);
      if (performance.now() > deadline) throw new Error(`ztunnel is not ready: ${child.complaint()}`);
      await sleep(POLL_MS);
    }
    return {
      entry: { ip: '127.0.0.1', port: SOCKS5_PORT },
      pids: [child.pid],
      split: false,
      descriptorsEach: unpooled ? 4 : 2,
      complaint: () => child.complaint(),
      stop: () => child.stop(),
    };
  },
};

async function isReady(): Promise<boolean> {
  try {
    return (await fetch(READINESS_URL)).ok;
  } catch {
    return false;
  }
}
