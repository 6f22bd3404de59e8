/** The seeded in-memory engine: what tests and the simulator run on. */
export type { MemoryEngine, MemoryEngineOptions } from './engine.ts';
export { MemoryNetwork, type MemoryNetworkOptions } from './network.ts';
