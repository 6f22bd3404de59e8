/** The HBONE suites on the reactor: real TLS and TCP on loopback, in real time. */
import { hboneConformance } from '@ambit/testkit/hbone-conformance';
import { reactorWorld } from './reactor-world.fixture.ts';

hboneConformance('reactor', async () => reactorWorld());
