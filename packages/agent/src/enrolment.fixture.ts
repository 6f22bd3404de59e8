/** An agent whose kernel is a map: files stand in for namespaces, and rules are there or not. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '@ambit/base/log';
import type { Reactor } from '@ambit/net/reactor';
import { namespaceIdentity } from '@ambit/platform/namespace';
import type { Difference, Redirection } from '@ambit/platform/redirect';
import { Enrolment, type PodToEnrol } from './enrolment.ts';
import { openNetworkNamespace } from './network-namespace.ts';
import { PodRules } from './pod-rules.ts';
import { PodSet } from './pods.ts';
import { type Mechanism, StateFile } from './state-file.ts';
import { ZdsServer } from './zds-server.ts';

const MISSING: Difference = { is: 'missing', where: 'chain', what: 'rule' };

export class FakeKernel {
  readonly #directory: string;
  /** What happened in the order it did: `install 7 nftables`. */
  readonly calls: string[] = [];
  /** `NAME MECHANISM` of namespaces with rules. */
  readonly rules = new Set<string>();
  readonly addresses = new Map<string, readonly string[]>();
  readonly failing = new Set<'install' | 'repair' | 'remove'>();
  readonly #names = new Map<number, string>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /** Its path. */
  addNamespace(name: string, ...addresses: string[]): string {
    const path = join(this.#directory, name);
    writeFileSync(path, name);
    const network = openNetworkNamespace(path);
    this.#names.set(network.identity.inode, name);
    network.close();
    this.addresses.set(name, addresses);
    return path;
  }

  readAddresses(fd: number): Promise<readonly string[]> {
    return Promise.resolve(this.addresses.get(this.#nameOf(fd)) ?? []);
  }

  redirection(mechanism: Mechanism): Redirection {
    return {
      mechanism,
      redirector: (fd) => {
        const act = async (what: 'install' | 'repair' | 'remove'): Promise<Difference[]> => {
          const name = this.#nameOf(fd);
          const key = `${name} ${mechanism}`;
          this.calls.push(`${what} ${key}`);
          await null;
          if (this.failing.has(what)) throw new Error(`${what} failed`);
          const found = this.rules.has(key);
          if (what === 'remove') this.rules.delete(key);
          else this.rules.add(key);
          return what === 'repair' && !found ? [MISSING] : [];
        };
        return {
          install: async () => void (await act('install')),
          verify: () => Promise.resolve([]),
          repair: () => act('repair'),
          remove: async () => void (await act('remove')),
        };
      },
    };
  }

  #nameOf(fd: number): string {
    return this.#names.get(namespaceIdentity(fd).inode) ?? 'unknown';
  }
}

export interface FakeAgent {
  readonly enrolment: Enrolment;
  readonly pods: PodSet;
  readonly server: ZdsServer;
  readonly stateFile: StateFile;
  readonly socketPath: string;
}

export interface FakeAgentOptions {
  readonly reactor: Reactor;
  readonly kernel: FakeKernel;
  readonly directory: string;
  readonly mechanism?: Mechanism;
  readonly podsMax?: number;
}

export function fakeAgent({
  reactor,
  kernel,
  directory,
  mechanism = 'nftables',
  podsMax = 100,
}: FakeAgentOptions): FakeAgent {
  const pods = new PodSet();
  const log = silentLog;
  const socketPath = join(directory, 'zds.sock');
  const server = new ZdsServer({ reactor, path: socketPath, pods, log, limits: { connectionsPerSecond: 1000 } });
  const stateFile = new StateFile(join(directory, 'enrolled.json'));
  const rules = new PodRules({
    redirection: kernel.redirection(mechanism),
    redirectionBy: (other) => kernel.redirection(other),
    stateFile,
    log,
  });
  const enrolment = new Enrolment({
    pods,
    server,
    rules,
    log,
    ownIdentity: { inode: 1, device: 1 },
    readAddresses: (fd) => kernel.readAddresses(fd),
    after: (delayMs, callback) => reactor.after(delayMs, callback),
    limits: { podsMax },
  });
  return { enrolment, pods, server, stateFile, socketPath };
}

export function podToEnrol(uid: string, namespacePath: string, ip: string): PodToEnrol {
  const redirect = { ipv6: true, dnsCapture: true };
  return { uid, name: `n-${uid}`, namespace: 'm', serviceAccount: 's', ips: [ip], namespacePath, redirect };
}
