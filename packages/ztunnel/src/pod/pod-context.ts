/** What the data path of a pod asks of the rest of the proxy: each an interface, so that it runs without the others. */
import type { AmbitError } from '@ambit/base/errors';
import type { Rng } from '@ambit/base/rng';
import type { UnknownPolicyRule } from '@ambit/model/authorize';
import type { Call } from '@ambit/model/call';
import type { Decision } from '@ambit/model/decision';
import type { Explanation } from '@ambit/model/explain';
import type { MeshIndex } from '@ambit/model/mesh-index';
import type { PolicySet } from '@ambit/model/policy-set';
import type { Workload } from '@ambit/model/workload';
import type { ConnectOptions, Engine, TlsContext } from '@ambit/net/engine';
import type { HboneLimits } from '@ambit/net/limits';
import type { Denial } from '@ambit/telemetry/access-log';
import type { ConnectionObserver } from './connection-facts.ts';
import type { PodLimits } from './limits.ts';

/** The state of the mesh as one pod sees it. Answers change between events; who changes them calls `PodProxy.meshChanged`. */
export interface PodMesh {
  /** Workloads and policies were both applied at least once. */
  readonly isReady: boolean;
  readonly index: MeshIndex;
  /** Another object after each change of a policy. */
  readonly policies: PolicySet;
  /** The pod's, by its name; never found by an address. */
  ownWorkload(): Workload | null;
}

export interface TlsSource {
  /** Calls back once, at once or later, also when the caller has lost interest. */
  for(identity: string, done: (result: TlsContext | AmbitError) => void): void;
}

/** Keeps reasons for a while, so that an id in the access log leads to them. */
export interface DenialSink {
  /** `explain` costs more than deciding did: a flood of denials need not be explained. Null: it was not. */
  denied(decision: Decision, call: Call, explain: () => Explanation): Denial | null;
}

export type PodDialOptions = Pick<ConnectOptions, 'namespaceFd' | 'mark'>;

export interface PodOptions {
  /** For people: whose workload was not found. */
  readonly name: string;
  /** The proxy's own network, by its configuration. */
  readonly network: string;
  /** HBONE clients of another are turned away. */
  readonly trustDomain: string;
  /** Ports of the proxy: nobody has business there. */
  readonly ownPorts: readonly number[];
  /** How every socket of the proxy is made. */
  readonly dial: PodDialOptions;
  /** The application sees the client's address (reference 4.7). Sockets then need IP_TRANSPARENT. */
  readonly preservesSource: boolean;
  /** An application tunnel of PROXY kind is reached on loopback (reference 4.6). */
  readonly localhostApplicationTunnel: boolean;
  /** The answer to a CONNECT says who the destination is. */
  readonly sendsResponseBaggage: boolean;
  /** `skip` is Istio's way, and lets in what a policy that is late would forbid. */
  readonly unknownPolicy: UnknownPolicyRule;
  readonly limits: PodLimits;
  readonly hboneLimits: HboneLimits;
}

export interface PodDependencies {
  readonly engine: Engine;
  readonly mesh: PodMesh;
  readonly tls: TlsSource;
  readonly observer: ConnectionObserver;
  readonly denials: DenialSink;
  /** For choices and trace ids; nothing secret comes from it. */
  readonly rng: Rng;
}
