/**
 * A mesh from a file in place of a control plane (LOCAL_XDS_PATH, LOCAL_XDS). Istio's ztunnel reads it once; here a file
 * is watched, and one that cannot be used leaves the last good one in force and says where it is broken.
 */
import { readFileSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import { policyKey } from '@ambit/model/policy';
import { serviceKey } from '@ambit/model/service';
import { LIMITS } from './limits.ts';
import { type LocalMesh, readLocalMesh } from './local-file/read-mesh.ts';
import type { AddressUpdate, PolicyUpdate } from './state/mesh-state.ts';
import type { Cancellable, Timers } from './state/wait-list.ts';

export type LocalSourceOptions =
  | { readonly is: 'file'; readonly path: string }
  | { readonly is: 'inline'; readonly text: string };

/** A MeshState, or who passes updates on to several. */
export interface MeshSink {
  applyAddresses(update: AddressUpdate): unknown;
  applyPolicies(update: PolicyUpdate): unknown;
}

export interface LocalSourceDependencies {
  readonly sink: MeshSink;
  readonly timers: Timers;
  readonly log: Log;
}

const LOCAL_FILE_UNREADABLE = 'LOCAL_FILE_UNREADABLE';
const INLINE_NAME = 'LOCAL_XDS';

export class LocalSource {
  readonly #options: LocalSourceOptions;
  readonly #sink: MeshSink;
  readonly #timers: Timers;
  readonly #log: Log;
  #watcher: { close(): void } | null = null;
  #debounce: Cancellable | null = null;
  #poll: Cancellable | null = null;
  /** Of the file as it was read last. */
  #stamp = '';
  #text: string | null = null;
  #names: MeshNames = NO_NAMES;
  #fault: AmbitError | null = null;
  #isClosed = false;

  constructor(options: LocalSourceOptions, { sink, timers, log }: LocalSourceDependencies) {
    this.#options = options;
    this.#sink = sink;
    this.#timers = timers;
    this.#log = log;
  }

  /** Why the file as it is now is not in force; null when it is. */
  get fault(): AmbitError | null {
    return this.#fault;
  }

  /** Applies the mesh, or throws what is wrong with it: there is nothing to fall back to yet. */
  start(): void {
    if (this.#options.is === 'inline') {
      this.#apply(readLocalMesh(this.#options.text, INLINE_NAME));
      return;
    }
    const { path } = this.#options;
    this.#load(path);
    this.#watch(path);
    this.#pollAgain(path);
  }

  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    this.#debounce?.cancel();
    this.#poll?.cancel();
  }

  /** The folder and not the file: editors and Kubernetes put another file in its place. */
  #watch(path: string): void {
    try {
      const watcher = watch(dirname(path), { persistent: false }, () => this.#checkSoon(path));
      watcher.on('error', (error) => this.#stopWatching(path, error));
      this.#watcher = watcher;
    } catch (error) {
      this.#stopWatching(path, error);
    }
  }

  #stopWatching(path: string, error: unknown): void {
    this.#watcher?.close();
    this.#watcher = null;
    const everyMs = LIMITS.localFilePollMs;
    this.#log.warn('local mesh file is not watched, but looked at from time to time', {
      path,
      every_ms: everyMs,
      error: asAmbitError(error),
    });
  }

  #checkSoon(path: string): void {
    if (this.#isClosed) return;
    this.#debounce?.cancel();
    this.#debounce = this.#timers.after(LIMITS.localFileDebounceMs, () => this.#check(path));
  }

  #pollAgain(path: string): void {
    this.#poll = this.#timers.after(LIMITS.localFilePollMs, () => {
      this.#pollAgain(path);
      this.#check(path);
    });
  }

  /** A fault is told once, not at every look. */
  #check(path: string): void {
    try {
      if (stampOf(path) === this.#stamp) return;
      this.#load(path);
    } catch (thrown) {
      const error = asAmbitError(thrown);
      if (error.code === LOCAL_FILE_UNREADABLE) this.#stamp = '';
      if (this.#fault?.message === error.message) return;
      this.#fault = error;
      this.#log.error('local mesh file cannot be used, the last good one stays in force', { path, error });
    }
  }

  #load(path: string): void {
    // Before reading: what changes meanwhile has another stamp at the next look.
    const stamp = stampOf(path);
    const text = readText(path);
    this.#stamp = stamp;
    if (text !== this.#text) {
      const mesh = readLocalMesh(text, path);
      this.#apply(mesh);
      this.#text = text;
      this.#log.info('local mesh file applied', {
        path,
        workloads_and_services: mesh.addresses.length,
        policies: mesh.policies.length,
      });
    }
    this.#fault = null;
  }

  /** Addresses first: a workload waits for a policy it newly names, but does not go without the one it had. */
  #apply({ addresses, policies }: LocalMesh): void {
    const before = this.#names;
    this.#names = {
      addresses: new Set(addresses.map((one) => (one.is === 'workload' ? one.workload.uid : serviceKey(one.service)))),
      policies: new Set(policies.map(policyKey)),
    };
    this.#sink.applyAddresses({
      upserts: addresses,
      removedNames: [...before.addresses.difference(this.#names.addresses)],
    });
    this.#sink.applyPolicies({
      upserts: policies,
      removedNames: [...before.policies.difference(this.#names.policies)],
    });
  }
}

interface MeshNames {
  readonly addresses: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
}

const NO_NAMES: MeshNames = { addresses: new Set(), policies: new Set() };

/** Anything of it differs when the file was written or replaced. */
function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > LIMITS.localFileMaxBytes) throw new Error(`${size} bytes are more than ${LIMITS.localFileMaxBytes}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): AmbitError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AmbitError(LOCAL_FILE_UNREADABLE, `${path}: ${reason}`, {
    side: 'internal',
    retry: 'unknown',
    hint: 'Look at the path in LOCAL_XDS_PATH and at who may read it.',
    cause,
  });
}
