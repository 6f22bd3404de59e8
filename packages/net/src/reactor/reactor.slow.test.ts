import { engineConformance } from '@ambit/testkit/engine-conformance';
import { reactorWorld } from './world.fixture.ts';

engineConformance('reactor at full size', reactorWorld, { largeBytes: 1024 ** 3, connections: 2000 });
