/**
 * One data child as its parent sees it: the process, its control channel, its stderr, whether it still answers. It never
 * decides about a successor; the group does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Log } from '@ambit/base/log';
import { socketPair } from '@ambit/platform/seqpacket';
import { closeDescriptor } from '@ambit/platform/socket';
import type { EngineTimer } from '../engine.ts';
import type { Reactor } from '../reactor/index.ts';
import { type ChannelOwner, ControlChannel } from './channel.ts';
import { NODE_FLAGS, type WorkerLimits } from './limits.ts';
import { LineReader } from './line-reader.ts';
import { type ChildRecord, encodeRecord, type Json, type ParentRecord, parseChildRecord } from './protocol.ts';

/** The child finds its end of the channel here. */
export const CONTROL_FD = 3;

export interface WorkerProcess {
  readonly entry: URL;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface WorkerOwner {
  readonly reactor: Reactor;
  readonly log: Log;
  readonly limits: WorkerLimits;
  onJoined(worker: Worker): void;
  onApplied(worker: Worker): void;
  onMessage(worker: Worker, body: Json): void;
  onLogLine(worker: Worker, line: string): void;
  onReplaceWish(worker: Worker, reason: string): void;
  /** Once, last: the process has ended, or never began. `how` is for people. */
  onExit(worker: Worker, how: string): void;
}

export class Worker implements ChannelOwner {
  /** -1 when it could not be started. */
  readonly pid: number;
  /** All up to this epoch is in force there; -1 before it has the snapshot. */
  appliedEpoch = -1;
  /** What counts as in force once it has joined: where the snapshot was empty, there is nothing to report. */
  joinEpoch = -1;
  joined = false;
  /** Told to finish; it is not anybody's successor any more. */
  draining = false;
  readonly #owner: WorkerOwner;
  readonly #child: ChildProcess;
  readonly #channel: ControlChannel;
  readonly #log: Log;
  #answeredMs: number;
  #pings = 0;
  #exited = false;
  #killReason: string | null = null;
  #killTimer: EngineTimer | null = null;

  constructor(owner: WorkerOwner, { entry, argv, env }: WorkerProcess) {
    this.#owner = owner;
    const [parentFd, childFd] = socketPair();
    try {
      // A session of its own, so that the terminal's Ctrl-C reaches the parent alone, which drains its children.
      this.#child = spawn(process.execPath, [...NODE_FLAGS, fileURLToPath(entry), ...argv], {
        env,
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe', childFd],
      });
    } catch (error) {
      closeDescriptor(parentFd);
      throw error;
    } finally {
      closeDescriptor(childFd);
    }
    this.pid = this.#child.pid ?? -1;
    this.#log = owner.log.with({ child_pid: this.pid });
    this.#channel = new ControlChannel(owner.reactor, parentFd, this);
    this.#answeredMs = owner.reactor.nowMs();
    this.#child.on('error', (error) => {
      if (this.pid < 0) this.#onExit(error.message);
    });
    this.#child.on('exit', (code, signal) => this.#onExit(signal ?? `status ${code}`));
    this.#readStderr();
  }

  send(record: ParentRecord, fds?: readonly number[]): void {
    this.sendEncoded(encodeRecord(record), fds);
  }

  /** For what goes to many: encoded once. */
  sendEncoded(bytes: Uint8Array, fds?: readonly number[]): void {
    this.#channel.send(bytes, fds);
  }

  forgetDescriptor(fd: number): void {
    this.#channel.forgetDescriptor(fd);
  }

  /** Kills it if it has not answered for too long. `forgivenMs` is how long the parent itself was not running. */
  ping(nowMs: number, forgivenMs: number): void {
    this.#answeredMs += forgivenMs;
    const { pingTimeoutMs, startTimeoutMs } = this.#owner.limits;
    const silentMs = nowMs - this.#answeredMs;
    if (silentMs > (this.joined ? pingTimeoutMs : startTimeoutMs)) {
      this.kill(`no answer for ${Math.round(silentMs)} ms`);
      return;
    }
    this.#pings += 1;
    this.send({ type: 'ping', sequence: this.#pings });
  }

  /** No new connections; it exits when the running ones have ended, at the latest a little after the deadline. */
  drain(deadlineMs: number): void {
    if (this.#exited) return;
    this.draining = true;
    this.send({ type: 'drain', deadlineMs });
    this.#killAfter(deadlineMs + this.#owner.limits.exitGraceMs, 'still there after its drain deadline');
  }

  kill(reason: string): void {
    if (this.#exited || this.#killReason !== null) return;
    this.#killReason = reason;
    this.#child.kill('SIGKILL');
  }

  onRecord(text: string, fds: readonly number[]): void {
    for (const fd of fds) closeDescriptor(fd);
    const record = parseChildRecord(text);
    if (record === null) this.kill('it sent what is no record');
    else if (!this.#exited) this.#onChildRecord(record);
  }

  onEnd(reason: string | null): void {
    if (reason !== null) this.kill(reason);
    // Mostly it is just ending, and that comes first: the news of its exit follows.
    else this.#killAfter(this.#owner.limits.exitGraceMs, 'it closed its control channel and did not exit');
  }

  onDrained(): void {}

  #onChildRecord(record: ChildRecord): void {
    this.#answeredMs = this.#owner.reactor.nowMs();
    switch (record.type) {
      case 'joined':
        this.joined = true;
        this.appliedEpoch = Math.max(this.appliedEpoch, this.joinEpoch);
        this.#owner.onJoined(this);
        return;
      case 'applied':
        this.appliedEpoch = Math.max(this.appliedEpoch, record.epoch);
        this.#owner.onApplied(this);
        return;
      case 'pong':
        return;
      case 'log':
        this.#owner.onLogLine(this, record.line);
        return;
      case 'message':
        this.#owner.onMessage(this, record.body);
        return;
      case 'replace':
        this.#owner.onReplaceWish(this, record.reason);
        return;
    }
  }

  #killAfter(delayMs: number, reason: string): void {
    if (this.#exited) return;
    this.#killTimer?.cancel();
    this.#killTimer = this.#owner.reactor.after(delayMs, () => this.kill(reason));
  }

  #onExit(how: string): void {
    if (this.#exited) return;
    this.#exited = true;
    this.#killTimer?.cancel();
    this.#channel.close();
    this.#owner.onExit(this, this.#killReason === null || how === 'status 0' ? how : `${how}: ${this.#killReason}`);
  }

  #readStderr(): void {
    const { reactor } = this.#owner;
    const reader = new LineReader((line) => this.#log.warn('child stderr', { line }));
    this.#child.stderr?.on('data', (bytes: Uint8Array) => reader.read(bytes, reactor.nowMs()));
    this.#child.stderr?.on('close', () => reader.end());
  }
}
