/** The node's agent, put together: pods are enrolled here, and proxies find it by its socket. */
import type { Log } from '@ambit/base/log';
import type { Reactor } from '@ambit/net/reactor';
import { chooseRedirection, type RedirectionChoice, Tools } from '@ambit/platform/redirect';
import { Enrolment } from './enrolment.ts';
import type { EnrolmentLimits, ZdsServerLimits } from './limits.ts';
import { addressReader } from './namespace-addresses.ts';
import { openNetworkNamespace } from './network-namespace.ts';
import { PodRules } from './pod-rules.ts';
import { PodSet } from './pods.ts';
import { StateFile } from './state-file.ts';
import { ZdsServer } from './zds-server.ts';

export type { EnrolmentCounters, PodToEnrol, StartReport } from './enrolment.ts';
export type { ZdsOutcome } from './zds-connection.ts';
export type { ZdsServerCounters } from './zds-server.ts';
export { Enrolment, ZdsServer };

export interface NodeAgentOptions {
  readonly reactor: Reactor;
  /** Where proxies connect: `/var/run/ztunnel/ztunnel.sock` for Istio's ztunnel. */
  readonly socketPath: string;
  /** What survives a crash; on a tmpfs like /run. */
  readonly stateFilePath: string;
  readonly log: Log;
  readonly redirection?: RedirectionChoice;
  readonly enrolmentLimits?: Partial<EnrolmentLimits>;
  readonly serverLimits?: Partial<ZdsServerLimits>;
}

export interface NodeAgent {
  /** `start` first. */
  readonly enrolment: Enrolment;
  readonly server: ZdsServer;
}

/** Throws `REDIRECT_TOOL_MISSING` where the machine lacks a program. Runs in the namespace of the node. */
export function createNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { reactor, log } = options;
  const tools = options.redirection?.tools ?? new Tools();
  const pods = new PodSet();
  const server = new ZdsServer({ reactor, path: options.socketPath, pods, log, limits: options.serverLimits ?? {} });
  const rules = new PodRules({
    redirection: chooseRedirection({ ...options.redirection, tools }),
    redirectionBy: (mechanism) => chooseRedirection({ ...options.redirection, tools, mechanism }),
    stateFile: new StateFile(options.stateFilePath),
    log,
  });
  const own = openNetworkNamespace('/proc/self/ns/net');
  own.close();
  const enrolment = new Enrolment({
    pods,
    server,
    rules,
    log,
    ownIdentity: own.identity,
    readAddresses: addressReader(tools),
    after: (delayMs, callback) => reactor.after(delayMs, callback),
    limits: options.enrolmentLimits ?? {},
  });
  return { enrolment, server };
}
