/** HBONE's promises, to be kept on every engine by the same suites on the memory engine and on the reactor. */
import { answerSuite } from './hbone-conformance/answer-suite.ts';
import { clockSuite } from './hbone-conformance/clock-suite.ts';
import { finishSuite } from './hbone-conformance/finish-suite.ts';
import { poolLifeSuite } from './hbone-conformance/pool-life-suite.ts';
import { poolSuite } from './hbone-conformance/pool-suite.ts';
import { serverSuite } from './hbone-conformance/server-suite.ts';
import { tunnelSuite } from './hbone-conformance/tunnel-suite.ts';
import type { MakeWorld } from './hbone-conformance/world.ts';

export function hboneConformance(name: string, makeWorld: MakeWorld): void {
  tunnelSuite(name, makeWorld);
  finishSuite(name, makeWorld);
  answerSuite(name, makeWorld);
  poolSuite(name, makeWorld);
  poolLifeSuite(name, makeWorld);
  serverSuite(name, makeWorld);
}

/** For a simulated clock: on a real one these would be races. */
export function hboneClockConformance(name: string, makeWorld: MakeWorld): void {
  clockSuite(name, makeWorld);
}
