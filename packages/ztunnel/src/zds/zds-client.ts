/**
 * The proxy's side of ZDS: connects to the node's agent (or istio-cni), says hello, runs the pods it is told of and
 * answers every request in order and in time. Proxies run on while nobody is connected.
 *
 * As Istio's ztunnel (inpod/workloadmanager.rs), but for one thing: where that one ends its process over a broken
 * protocol, this one counts it, connects anew and keeps the node's traffic flowing.
 */
import type { Log } from '@ambit/base/log';
import type { Rng } from '@ambit/base/rng';
import type { EngineTimer } from '@ambit/net/engine';
import type { Reactor } from '@ambit/net/reactor';
import { connectRecords, type RecordLink, type RecordOwner } from '@ambit/net/records';
import { ZDS_RECORD_MAX_BYTES } from '@ambit/wire/limits';
import { decodeZdsRequest, encodeZdsAck, encodeZdsHello, type ZdsPod } from '@ambit/wire/zds';
import { ZDS_CLIENT_LIMITS, type ZdsClientLimits } from './limits.ts';
import type { PodHost } from './pod-host.ts';
import { PodNamespace } from './pod-namespace.ts';
import { PodRunner } from './pod-runner.ts';
import { ReconnectWait } from './reconnect-wait.ts';
import { ZdsSession, type ZdsStep } from './zds-session.ts';

export interface ZdsClientOptions {
  readonly reactor: Reactor;
  /** `/var/run/ztunnel/ztunnel.sock` in Istio (INPOD_UDS). */
  readonly path: string;
  readonly host: PodHost;
  readonly log: Log;
  readonly rng: Rng;
  /** Ready: the agent's snapshot is here and every pod it wants runs. Called when that changes. */
  readonly onReadiness?: (ready: boolean) => void;
  readonly limits?: Partial<ZdsClientLimits>;
}

export interface ZdsClientCounters {
  connected: number;
  connectFailures: number;
  /** The agent went away. */
  disconnected: number;
  /** Records that could not be read. */
  malformed: number;
  /** Requests at the wrong place, or without workload_info: where Istio's ztunnel exits. */
  protocolErrors: number;
  acks: number;
  nacks: number;
  startFailures: number;
  stopFailures: number;
}

export class ZdsClient implements RecordOwner {
  readonly counters: ZdsClientCounters = {
    connected: 0,
    connectFailures: 0,
    disconnected: 0,
    malformed: 0,
    protocolErrors: 0,
    acks: 0,
    nacks: 0,
    startFailures: 0,
    stopFailures: 0,
  };
  readonly #options: ZdsClientOptions;
  readonly #limits: ZdsClientLimits;
  readonly #runner: PodRunner;
  readonly #wait: ReconnectWait;
  #session = new ZdsSession();
  #link: RecordLink | null = null;
  #reconnect: EngineTimer | null = null;
  #retry: EngineTimer | null = null;
  #ready = false;
  #closed = false;

  constructor(options: ZdsClientOptions) {
    this.#options = options;
    this.#limits = { ...ZDS_CLIENT_LIMITS, ...options.limits };
    this.#wait = new ReconnectWait(this.#limits, options.rng);
    this.#runner = new PodRunner({
      host: options.host,
      onChange: () => this.#onPodsChanged(),
      onStopFailed: (uid, error) => {
        this.counters.stopFailures += 1;
        options.log.error('pod could not be stopped', { uid, error });
      },
    });
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Pods that are wanted and do not run. */
  get pending(): number {
    return this.#runner.pending;
  }

  start(): void {
    this.#connect();
  }

  /** Disconnects, and stops every pod in this way; settles when the host has. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#reconnect?.cancel();
    this.#link?.close();
    this.#link = null;
    this.#updateReadiness();
    this.#runner.stopAllBut(new Set(), 'drain');
    await this.#runner.settled();
    this.#retry?.cancel();
  }

  onRecord(record: Uint8Array, fds: readonly number[]): void {
    const link = this.#link as RecordLink; // a link that is closed hands nothing on
    const namespaces = fds.map((fd) => new PodNamespace(fd));
    const request = decodeZdsRequest(record, namespaces.length);
    if (request.kind === 'refused') {
      for (const namespace of namespaces) namespace.close();
      // Istio's ztunnel takes this one for a broken protocol, and the others for bytes that got lost.
      const isProtocol = request.code === 'ZDS_WORKLOAD_INFO';
      this.counters[isProtocol ? 'protocolErrors' : 'malformed'] += 1;
      this.#giveUp(link, request.reason);
      return;
    }
    this.#follow(link, this.#session.take(request), namespaces[0]);
  }

  onEnd(problem: string | null): void {
    if (problem === null) this.#onDisconnected();
    else {
      this.counters.malformed += 1;
      this.#loseLink(problem);
    }
  }

  #connect(): void {
    this.#reconnect = null;
    const { reactor, path, log } = this.#options;
    this.#session = new ZdsSession();
    try {
      this.#link = connectRecords(reactor, path, { recordMaxBytes: ZDS_RECORD_MAX_BYTES, fdsMax: 1 }, this);
    } catch (thrown) {
      this.#onConnectFailed(thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    const problem = this.#link.send(encodeZdsHello());
    if (problem !== null) {
      this.#link.close();
      this.#onConnectFailed(`hello was not sent: ${problem}`);
      return;
    }
    this.counters.connected += 1;
    log.info('agent connected', { path });
  }

  #onConnectFailed(problem: string): void {
    this.counters.connectFailures += 1;
    this.#options.log.warn('agent not reached', { problem });
    this.#link = null;
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    this.#updateReadiness();
    if (this.#closed) return;
    this.#reconnect = this.#options.reactor.after(this.#wait.takeMs(), () => this.#connect());
  }

  #follow(link: RecordLink, step: ZdsStep, namespace: PodNamespace | undefined): void {
    switch (step.step) {
      case 'run':
        if (namespace !== undefined) void this.#run(link, step.uid, step.pod, namespace);
        return;
      case 'keep':
        break;
      case 'forget':
        this.#runner.forgetPending(step.uid);
        break;
      case 'stop':
        // Istio's ztunnel cuts calls here; a pod that leaves the mesh and lives on has calls that may end.
        this.#runner.stop(step.uid, 'drain');
        break;
      case 'reconcile': {
        const stopped = this.#runner.stopAllBut(step.named, 'immediate');
        this.#options.log.info('snapshot received', { named: step.named.size, stopped: stopped.length });
        this.#updateReadiness();
        break;
      }
      case 'violation':
        this.counters.protocolErrors += 1;
        this.#giveUp(link, step.reason);
        return;
    }
    this.#answer(link, '');
  }

  /** Nothing else is read until the pod runs, failed, or took too long: acks have no number, only their order. */
  async #run(link: RecordLink, uid: string, pod: ZdsPod, namespace: PodNamespace): Promise<void> {
    if (!this.#runner.has(uid) && this.#runner.size >= this.#limits.podsMax) {
      namespace.close();
      this.#answerRun(link, uid, `more than ${this.#limits.podsMax} pods`);
      return;
    }
    link.pause();
    const { answerMs } = this.#limits;
    const late = Promise.withResolvers<string>();
    const deadline = this.#options.reactor.after(answerMs, () => late.resolve(`not started within ${answerMs} ms`));
    const problem = await Promise.race([this.#runner.run(uid, pod, namespace), late.promise]);
    deadline.cancel();
    this.#answerRun(link, uid, problem);
    link.resume();
  }

  #answerRun(link: RecordLink, uid: string, problem: string): void {
    if (problem !== '') {
      this.counters.startFailures += 1;
      this.#options.log.error('pod could not be started and is tried again', { uid, problem });
    }
    this.#answer(link, problem === '' ? '' : `failure to start proxy : ${problem}`);
  }

  #answer(link: RecordLink, error: string): void {
    if (link !== this.#link) return;
    this.counters[error === '' ? 'acks' : 'nacks'] += 1;
    const problem = link.send(encodeZdsAck(error));
    if (problem === null) return;
    link.close();
    this.#onDisconnected();
  }

  /** The other side cannot be followed: it is told why, and met again on a new connection. */
  #giveUp(link: RecordLink, reason: string): void {
    this.counters.nacks += 1;
    link.send(encodeZdsAck(`failure to process message : ${reason}`));
    link.close();
    this.#loseLink(reason);
  }

  #onDisconnected(): void {
    this.counters.disconnected += 1;
    // A connection that brought a snapshot and no fault was of use, so the next one is tried soon.
    if (this.#session.snapshotReceived) this.#wait.reset();
    this.#loseLink(null);
  }

  #loseLink(fault: string | null): void {
    this.#link = null;
    this.#options.log.warn('agent disconnected, pods run on', { fault });
    this.#reconnectLater();
  }

  #onPodsChanged(): void {
    this.#updateReadiness();
    if (this.#closed || this.#retry !== null || this.#runner.pending === 0) return;
    this.#retry = this.#options.reactor.after(this.#limits.retryMs, () => {
      this.#retry = null;
      this.#runner.retryPending();
    });
  }

  #updateReadiness(): void {
    const ready = this.#link !== null && this.#session.snapshotReceived && this.#runner.pending === 0;
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#options.onReadiness?.(ready);
  }
}
