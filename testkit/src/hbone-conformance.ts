/** HBONE's promises, to be kept on every engine: the same suites on the memory engine and on the reactor. */
import { poolSuite } from './hbone-pool-suite.ts';
import { serverSuite } from './hbone-server-suite.ts';
import { tunnelSuite } from './hbone-tunnel-suite.ts';
import type { MakeWorld } from './hbone-world.ts';

export type { HboneWorld, MakeWorld } from './hbone-world.ts';

export function hboneConformance(name: string, makeWorld: MakeWorld): void {
  tunnelSuite(name, makeWorld);
  poolSuite(name, makeWorld);
  serverSuite(name, makeWorld);
}
