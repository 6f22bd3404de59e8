import { engineConformance } from '@ambit/testkit/engine-conformance';
import { reactorWorld } from './world.fixture.ts';

engineConformance('reactor', reactorWorld);
