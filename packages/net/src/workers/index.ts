/** Parent and children (design, section 4 "Processes, not threads"). */
export { type SharedListener, WorkerGroup, type WorkerGroupOptions } from './group.ts';
export { type JoinOptions, joinParent, type ParentLink } from './join.ts';
export { WORKER_LIMITS, type WorkerLimits } from './limits.ts';
export type { Json } from './protocol.ts';
