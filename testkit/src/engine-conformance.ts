/** The suite that every implementation of packages/net/src/engine.ts passes, on its own kind of time. */
import { closingCases } from './engine-conformance/closing.ts';
import { connectingCases } from './engine-conformance/connecting.ts';
import { type MakeWorld, Suite } from './engine-conformance/kit.ts';
import { securingCases } from './engine-conformance/securing.ts';
import { timingCases } from './engine-conformance/timing.ts';
import { type TransferSizes, transferCases } from './engine-conformance/transfers.ts';

export type { EngineWorld, MakeWorld } from './engine-conformance/kit.ts';

const SIZES: TransferSizes = { largeBytes: 16 * 1024 * 1024, connections: 200 };

/** Registers the cases with node:test. Each gets a world of its own. */
export function engineConformance(name: string, makeWorld: MakeWorld, sizes: Partial<TransferSizes> = {}): void {
  const suite = new Suite(name, makeWorld);
  transferCases(suite, { ...SIZES, ...sizes });
  connectingCases(suite);
  closingCases(suite);
  securingCases(suite);
  timingCases(suite);
}
