/**
 * Takes running pods into the mesh and out of it without touching them: rules in the pod's namespace, and word to the
 * proxy. The proxy is told first and forgotten last, so that captured calls always find it listening; where it cannot be
 * told, the pod is captured all the same, for traffic past the mesh would be worse (as istio-cni).
 */
import { type AmbitError, asAmbitError } from '@ambit/base/errors';
import type { Log } from '@ambit/base/log';
import type { Reactor } from '@ambit/net/reactor';
import type { NamespaceIdentity } from '@ambit/platform/namespace';
import {
  type Difference,
  describeDifference,
  podPlan,
  type Redirection,
  type Redirector,
  type RedirectOptions,
} from '@ambit/platform/redirect';
import type { ZdsPod } from '@ambit/wire/zds';
import { DIFFERENCES_TOLD_MAX, ENROLMENT_LIMITS, type EnrolmentLimits } from './limits.ts';
import type { ReadAddresses } from './namespace-addresses.ts';
import { isSameNamespace, type NetworkNamespace, openNetworkNamespace } from './network-namespace.ts';
import { checkOwnership, type PodSet } from './pods.ts';
import { planReconcile, type ReconcileAction } from './reconcile.ts';
import { RoundRobin } from './round-robin.ts';
import type { EnrolledRecord, Mechanism, StateFile } from './state-file.ts';
import { TaskQueue } from './task-queue.ts';
import type { ZdsOutcome } from './zds-connection.ts';
import type { ZdsServer } from './zds-server.ts';
