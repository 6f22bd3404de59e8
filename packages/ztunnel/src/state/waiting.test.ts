/** Waiting for what the control plane has not sent yet, and being told of what it has. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import type { Policy } from '@ambit/model/policy';
import { LIMITS } from '../limits.ts';
import { apply, ManualTimers, meshOf, workload } from './mesh.fixture.ts';
import { type MeshChange, MeshState } from './mesh-state.ts';

const INFO = { name: 'web', namespace: 'shop', serviceAccount: 'default' };

function policy(name: string): Policy {
  return { name, namespace: 'shop', scope: 'workload', action: 'ALLOW', dryRun: false, rules: [] };
}

describe('test_wait_for_workload', () => {
  /** What was answered so far. */
  const ask = (state: MeshState, timers: ManualTimers) => {
    const answers: (string | null)[] = [];
    const handle = state.waitForWorkload(INFO, 5000, timers, (found) => answers.push(found?.uid ?? null));
    return { answers, handle };
  };

  test('one that is known is given at once', () => {
    const timers = new ManualTimers();
    assert.deepEqual(ask(meshOf([workload('u/web')]), timers).answers, ['u/web']);
    assert.equal(timers.waiting, 0);
  });
  test('delay_fails: after the time there is none, once', () => {
    const [state, timers] = [meshOf([]), new ManualTimers()];
    const { answers } = ask(state, timers);
    timers.advance(4999);
    assert.deepEqual(answers, []);
    timers.advance(1);
    assert.deepEqual(answers, [null]);
    apply(state, [workload('u/web')]);
    timers.advance(10_000);
    assert.deepEqual(answers, [null]);
    assert.equal(state.sizes().waiters, 0);
  });
  test('eventually: another one does not help, the right one does', () => {
    const [state, timers] = [meshOf([]), new ManualTimers()];
    const [first, second] = [ask(state, timers), ask(state, timers)];
    apply(state, [workload('u/other')]);
    timers.advance(1);
    assert.deepEqual(first.answers, []);
    apply(state, [workload('u/web')]);
    timers.advance(1);
    assert.deepEqual([first.answers, second.answers], [['u/web'], ['u/web']]);
    assert.equal(timers.waiting, 0);
    assert.equal(state.sizes().waiters, 0);
  });
  test('who gave up is not called', () => {
    const [state, timers] = [meshOf([]), new ManualTimers()];
    const [early, late] = [ask(state, timers), ask(state, timers)];
    early.handle.cancel();
    apply(state, [workload('u/web')]);
    late.handle.cancel();
    timers.advance(10_000);
    assert.deepEqual([early.answers, late.answers], [[], []]);
    assert.equal(state.sizes().waiters, 0);
  });
  test('one that fails does not take the others along', () => {
    const [state, timers] = [meshOf([]), new ManualTimers()];
    state.waitForWorkload(INFO, 5000, timers, () => {
      throw new Error('a fault');
    });
    const { answers } = ask(state, timers);
    apply(state, [workload('u/web')]);
    assert.throws(() => timers.advance(1), /a fault/);
    timers.advance(1);
    assert.deepEqual(answers, ['u/web']);
  });
  test('when too many wait, the next one does not', () => {
    const [state, timers] = [meshOf([]), new ManualTimers()];
    for (let i = 0; i < LIMITS.waitersMax; i += 1) state.waitForWorkload(INFO, 5000, timers, () => {});
    assert.deepEqual(ask(state, timers).answers, [null]);
    assert.equal(state.sizes().waiters, LIMITS.waitersMax);
  });
});

describe('a policy that is named and not known', () => {
  const ask = (state: MeshState, timers: ManualTimers, ...named: string[]) => {
    const answers: (readonly string[])[] = [];
    state.waitForPolicies(named, LIMITS.policyWaitMs, timers, (missing) => answers.push(missing));
    return answers;
  };
  const withPolicies = (...policies: Policy[]) => {
    const state = new MeshState({ localNode: null });
    state.applyPolicies({ upserts: policies, removedNames: [] });
    return state;
  };

  test('is waited for until all have come', () => {
    const [state, timers] = [withPolicies(policy('a')), new ManualTimers()];
    const answers = ask(state, timers, 'shop/a', 'shop/b', 'shop/c');
    state.applyPolicies({ upserts: [policy('b')], removedNames: [] });
    timers.advance(1);
    assert.deepEqual(answers, []);
    state.applyPolicies({ upserts: [policy('c')], removedNames: [] });
    timers.advance(1);
    assert.deepEqual(answers, [[]]);
  });
  test('is still missing when the time is up', () => {
    const [state, timers] = [withPolicies(policy('a')), new ManualTimers()];
    const answers = ask(state, timers, 'shop/a', 'shop/b');
    timers.advance(4999);
    assert.deepEqual(answers, []);
    timers.advance(1);
    assert.deepEqual(answers, [['shop/b']]);
  });
  test('is not needed when it was removed, before or meanwhile, whether it had been known or not', () => {
    const [state, timers] = [withPolicies(policy('a'), policy('b')), new ManualTimers()];
    state.applyPolicies({ upserts: [], removedNames: ['shop/a'] });
    assert.deepEqual(ask(state, timers, 'shop/a'), [[]]);
    const answers = ask(state, timers, 'shop/never-known');
    state.applyPolicies({ upserts: [], removedNames: ['shop/never-known'] });
    timers.advance(1);
    assert.deepEqual(answers, [[]]);
  });
});

describe('an update', () => {
  test('is numbered and told to all, with the state as it is then', () => {
    const state = new MeshState({ localNode: null, epoch: 41 });
    const told: [MeshChange['is'], number, boolean][] = [];
    const stop = state.onChange(({ is, epoch }) => told.push([is, epoch, state.workload('u') !== null]));
    apply(state, [workload('u')]);
    state.applyPolicies({ upserts: [], removedNames: [] });
    stop();
    apply(state, []);
    assert.deepEqual(told, [
      ['addresses', 42, true],
      ['policies', 43, true],
    ]);
    assert.equal(state.epoch, 44);
  });
  test('of policies says whether connections must be asked again', () => {
    const state = new MeshState({ localNode: null });
    const changes = (upserts: Policy[], ...removedNames: string[]) =>
      state.applyPolicies({ upserts, removedNames }).policiesChanged;
    assert.equal(changes([]), false);
    assert.equal(changes([policy('a')]), true);
    assert.equal(changes([], 'shop/not-known'), false);
    assert.equal(changes([], 'shop/a'), true);
  });
  test('reaches the others when one listener fails, and fails then', () => {
    const state = new MeshState({ localNode: null });
    let told = 0;
    state.onChange(() => {
      throw new Error('a fault');
    });
    state.onChange(() => {
      told += 1;
    });
    assert.throws(() => apply(state, [workload('u')]), AggregateError);
    assert.equal(told, 1);
    assert.equal(state.workload('u')?.uid, 'u');
    assert.throws(() => apply(state, []), AggregateError);
  });
  test('is not made from inside of another', () => {
    const state = new MeshState({ localNode: null });
    let nested: unknown = null;
    state.onChange(() => {
      try {
        apply(state, [workload('u')]);
      } catch (error) {
        nested = error;
      }
    });
    apply(state, []);
    assert.match(String(nested), /a listener does not update the state/);
    assert.equal(state.workload('u'), null);
  });
  test('of both kinds makes the state complete', () => {
    const state = new MeshState({ localNode: null });
    assert.equal(state.isReady, false);
    apply(state, []);
    assert.equal(state.isReady, false);
    state.applyPolicies({ upserts: [], removedNames: [] });
    assert.equal(state.isReady, true);
  });
});
