/**
 * The parent's part: an authority, an identity for each pod, listeners in the pods' namespaces, redirection into them,
 * and one data child that carries the bytes.
 */

import { wallClock } from '@ambit/base/clock';
import { createLog, formatText } from '@ambit/base/log';
import { LocalAuthority } from '@ambit/identity/local-authority';
import type { Reactor } from '@ambit/net/reactor';
import { WorkerGroup } from '@ambit/net/workers';
import { bindSocket, closeDescriptor, listenSocket, openSocket } from '@ambit/platform/socket';
import { run } from './command.ts';
import { type AllowRule, asCallReport, asJson, type CallReport, type PodState, type PurposeOf } from './messages.ts';
import { HBONE_PORT, OUTBOUND_PORT, PLAINTEXT_PORT, PROXY_MARK, redirectionRules } from './redirection.ts';
import { inPod, type Pod, type Stage } from './stage.ts';
import { WEB_PORT } from './web-server.ts';

export const CLIENT_IDENTITY = 'spiffe://cluster.local/ns/demo/sa/client';
export const WEB_IDENTITY = 'spiffe://cluster.local/ns/demo/sa/web';

/** As Istio's ztunnel. */
const LISTEN_BACKLOG = 128;
const DRAIN_MS = 1000;

export interface Mesh {
  redirect(): Promise<void>;
  stop(): Promise<void>;
}

export async function startMesh(stage: Stage, reactor: Reactor, onCall: (report: CallReport) => void): Promise<Mesh> {
  const authority = await LocalAuthority.create({ nowMs: () => wallClock.nowMs() });
  const states = [
    await podState(authority, stage.client, CLIENT_IDENTITY, []),
    await podState(authority, stage.web, WEB_IDENTITY, [{ identity: CLIENT_IDENTITY, port: WEB_PORT }]),
  ];
  const log = createLog({
    level: 'warn',
    format: formatText,
    clock: wallClock,
    sink: (line) => process.stderr.write(`${line}\n`),
  });
  const group = new WorkerGroup({
    reactor,
    count: 1,
    entry: new URL('./child.ts', import.meta.url),
    log,
    snapshot: () => states.map(asJson),
    onMessage: (body) => onCall(asCallReport(body)),
    onLogLine: (line) => log.warn('child', { line }),
  });
  for (const pod of [stage.client, stage.web]) {
    addListener(group, pod, 'outbound', OUTBOUND_PORT);
    addListener(group, pod, 'plaintext', PLAINTEXT_PORT);
    addListener(group, pod, 'hbone', HBONE_PORT);
  }
  return {
    async redirect() {
      // Not before somebody is there to take what is redirected.
      await group.applied(group.epoch);
      for (const pod of [stage.client, stage.web]) await run(inPod(pod, 'nft', '-f', '-'), redirectionRules());
    },
    stop: () => group.close({ drainMs: DRAIN_MS }),
  };
}

async function podState(
  authority: LocalAuthority,
  pod: Pod,
  identity: string,
  allow: readonly AllowRule[],
): Promise<PodState> {
  const { certificateChainPem, privateKeyPem } = await authority.issue(identity);
  const { name, ip, namespacePath } = pod;
  const certificates = { certificateChainPem, privateKeyPem, rootsPem: authority.rootsPem };
  return { kind: 'pod', name, ip, namespacePath, identity, allow, ...certificates };
}

/** The descriptor stays with the group, so that a child that dies leaves a queue and not a refusal. */
function addListener(group: WorkerGroup, pod: Pod, purpose: PurposeOf, port: number): void {
  const fd = openSocket({ family: 4, type: 'stream', namespaceFd: pod.namespaceFd, mark: PROXY_MARK });
  try {
    bindSocket(fd, '0.0.0.0', port);
    listenSocket(fd, LISTEN_BACKLOG);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
  group.addListener({ id: `${pod.name}/${port}`, fd, purpose: asJson({ pod: pod.name, port: purpose }) });
}
