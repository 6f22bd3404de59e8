import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRng } from '@ambit/base/rng';
import fc from 'fast-check';
import { ManualWorld, settled } from './manual-world.fixture.ts';

test('whatever is asked, answered, failed, forgotten and slept, no invariant breaks and everybody is answered', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const step = fc.oneof(
    fc.record({ do: fc.constant('ask' as const), name }),
    fc.record({ do: fc.constant('warm' as const), name }),
    fc.record({ do: fc.constant('forget' as const), name }),
    fc.record({ do: fc.constant('answer' as const), name }),
    fc.record({ do: fc.constant('fail' as const), name }),
    fc.record({ do: fc.constant('sleep' as const), name }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(), async (steps, seed) => {
      const rng = seededRng(seed);
      const world = new ManualWorld({ fetchesParallelMax: 2 });
      let open = 0;
      for (const step of steps) {
        if (step.do === 'ask') {
          open += 1;
          const count = (): void => {
            open -= 1;
          };
          world.manager.certificate(step.name).then((certificate) => {
            assert.equal(certificate.identity, step.name);
            count();
          }, count);
        }
        if (step.do === 'warm') world.manager.warmUp(step.name);
        if (step.do === 'forget') world.manager.forget(step.name);
        if (step.do === 'answer') await world.answer();
        if (step.do === 'fail') await world.fail();
        if (step.do === 'sleep') await world.advance(1000 * (1 + rng.integer(20)));
        await settled();
        const live = world.source.held.filter(({ signal }) => !signal.aborted).map(({ identity }) => identity);
        assert.equal(new Set(live).size, live.length, 'one fetch at a time for an identity');
        assert.ok(live.length <= 2);
      }
      for (let i = 0; i < 40 && (open > 0 || world.source.held.length > 0); i += 1) await world.answer();
      assert.equal(open, 0);
    }),
    { numRuns: 150 },
  );
});
