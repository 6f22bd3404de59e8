/** The product's engine with verification on: SOCKS5 in, HBONE in mutual TLS to itself, plain TCP to the target. */
import { join } from 'node:path';
import { LocalAuthority } from '@ambit/identity/local-authority';
import { formatIdentity } from '@ambit/model/identity';
import type { SocketAddress } from '@ambit/net/engine';
import type { Child, Children } from '../children.ts';
import { BENCH_IDENTITY, type ProxyConfig } from './ours-config.ts';
import { START_TIMEOUT_MS, type Subject } from './subject.ts';

/** As data children are started. */
const NODE_FLAGS = ['--max-semi-space-size=4'];
const PROXY = join(import.meta.dirname, 'ours-proxy.ts');

export const ours: Subject = {
  name: 'ours',
  unavailable: () => null,
  start: async (children, { unpooled, split }) => {
    const authority = await LocalAuthority.create({ nowMs: Date.now });
    const proxy = async (role: ProxyConfig['role'], exit: SocketAddress | null): Promise<Started> => {
      const { certificateChainPem, privateKeyPem } = await authority.issue(formatIdentity(BENCH_IDENTITY));
      const material = { certificateChainPem, privateKeyPem, rootsPem: authority.rootsPem, alpn: 'h2' };
      return start(children, { role, unpooled, material, exit });
    };
    if (!split) {
      const both = await proxy('both', null);
      return {
        entry: both.address,
        pids: [both.child.pid],
        split: false,
        descriptorsEach: unpooled ? 4 : 2,
        complaint: () => both.child.complaint(),
        stop: () => both.child.stop(),
      };
    }
    const exit = await proxy('exit', null);
    const entry = await proxy('entry', exit.address);
    return {
      entry: entry.address,
      pids: [entry.child.pid, exit.child.pid],
      split: true,
      descriptorsEach: unpooled ? 2 : 1,
      complaint: () => `${entry.child.complaint()} ${exit.child.complaint()}`.trim(),
      stop: async () => {
        await entry.child.stop();
        await exit.child.stop();
      },
    };
  },
};

/** The two ends as on two nodes, a process each: two threads in all, as the peer that has two. */
export const oursTwo: Subject = {
  name: 'ours-2',
  unavailable: () => null,
  start: (children, options) => ours.start(children, { ...options, split: true }),
};

interface Started {
  readonly child: Child;
  readonly address: SocketAddress;
}

/** The configuration goes over stdin, because it holds a private key; the answer says where the proxy listens. */
async function start(children: Children, config: ProxyConfig): Promise<Started> {
  const child = children.start(process.execPath, [...NODE_FLAGS, PROXY]);
  child.tell(`${JSON.stringify(config)}\n`);
  return { child, address: JSON.parse(await child.line(START_TIMEOUT_MS)) as SocketAddress };
}
