import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { FETCHES_PARALLEL_MAX, IDENTITIES_MAX, RETRY_MAX_MS, SLEEP_MAX_MS, WARM_UPS_QUEUED_MAX } from './limits.ts';
import { LIFE_MS, ManualWorld, madeUp, START_MS, settled } from './manual-world.fixture.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/web';

describe('cache', () => {
  test('stress caching: eight callers of a hundred identities make a hundred fetches', async () => {
    const world = new ManualWorld();
    const calls = Array.from({ length: 800 }, (_, i) => world.manager.certificate(`id-${i % 100}`));
    while (world.manager.counters.fetchesStarted < 100 || world.source.held.length > 0) {
      await settled();
      await world.answer();
    }
    const certificates = await Promise.all(calls);
    assert.equal(world.manager.size, 100);
    assert.equal(world.source.started.length, 100);
    assert.ok(certificates.every(({ identity }, i) => identity === `id-${i % 100}`));
    assert.equal(world.source.parallelSeen, FETCHES_PARALLEL_MAX);
  });

  test('duplicate requests share one fetch and its outcome, good or bad', async () => {
    const world = new ManualWorld();
    const calls = [1, 2, 3, 4].map(() => world.manager.certificate(ID));
    await settled();
    assert.deepEqual(world.source.started, [ID]);
    await Promise.all([...calls.map((call) => assert.rejects(call, /down/)), world.fail('down')]);
    await world.advance(2000);
    await world.answer();
    assert.equal((await world.manager.certificate(ID)).identity, ID);
    assert.equal(world.source.started.length, 2);
  });

  test('cache refresh: a new certificate replaces the old one at half its life, and nobody waits for it', async () => {
    const world = new ManualWorld();
    const first = world.manager.certificate(ID);
    await settled();
    await world.answer();
    await world.advance(LIFE_MS / 2 - 1);
    assert.equal(world.source.started.length, 1);
    await world.advance(1);
    assert.equal(world.source.started.length, 2);
    assert.equal(await world.manager.certificate(ID), await first);
    await world.answer();
    const renewed = await world.manager.certificate(ID);
    assert.equal(renewed.notBeforeMs, START_MS + LIFE_MS / 2);
    assert.equal(world.manager.current(ID), renewed);
    assert.deepEqual(world.announced, [await first, renewed]);
    await world.advance(LIFE_MS / 2);
    assert.equal(world.source.started.length, 3);
  });

  test('a certificate past its half life on arrival is renewed a second later and not without pause', async () => {
    const world = new ManualWorld();
    void world.manager.certificate(ID);
    await settled();
    world.source.held[0]?.answer(madeUp(ID, START_MS - LIFE_MS + 5000));
    await settled();
    await world.advance(999);
    assert.equal(world.source.started.length, 1);
    await world.advance(1);
    assert.equal(world.source.started.length, 2);
  });

  test('a certificate that expired unnoticed is not handed out: the caller waits for its successor', async () => {
    const world = new ManualWorld();
    void world.manager.certificate(ID);
    await settled();
    await world.answer();
    world.clock.advance(LIFE_MS);
    assert.equal(world.manager.current(ID), null);
    const call = world.manager.certificate(ID);
    await settled();
    await world.answer();
    assert.equal((await call).notBeforeMs, START_MS + LIFE_MS);
  });

  test('a certificate that has expired when it arrives is a failure', async () => {
    const world = new ManualWorld();
    const call = world.manager.certificate(ID);
    await settled();
    world.source.held[0]?.answer(madeUp(ID, START_MS - 2 * LIFE_MS));
    await assert.rejects(call, { code: 'CERTIFICATE_EXPIRED' });
    assert.equal(world.manager.list()[0]?.state.is, 'unavailable');
    assert.deepEqual(world.announced, []);
  });

  test('a thousand-day certificate is renewed at half its life although no timer sleeps that long', async () => {
    const world = new ManualWorld();
    const lifeMs = 1000 * 86_400_000;
    void world.manager.certificate(ID);
    await settled();
    world.source.held[0]?.answer(madeUp(ID, START_MS, lifeMs));
    await settled();
    await world.advance(180_000);
    assert.equal(world.source.started.length, 1);
    assert.equal(world.longestDelayMs, SLEEP_MAX_MS);
    world.clock.advance(lifeMs / 2);
    await world.advance(1000);
    assert.equal(world.source.started.length, 2);
  });
});

describe('order', () => {
  test('priority: of those that wait, a connection goes before a warm-up and that before a refresh', async () => {
    const world = new ManualWorld({ fetchesParallelMax: 1 });
    void world.manager.certificate('old');
    await settled();
    await world.answer();
    await world.advance(LIFE_MS / 2 - 1000);
    void world.manager.certificate('blocker');
    await world.advance(2000);
    world.manager.warmUp('warm');
    void world.manager.certificate('urgent');
    await settled();
    assert.deepEqual(world.source.started, ['old', 'blocker']);
    for (let i = 0; i < 4; i += 1) await world.answer();
    assert.deepEqual(world.source.started, ['old', 'blocker', 'urgent', 'warm', 'old']);
  });

  test('concurrency: never more fetches than allowed, and a free slot is taken at once', async () => {
    const world = new ManualWorld({ fetchesParallelMax: 2 });
    for (const name of ['a', 'b', 'c', 'd']) void world.manager.certificate(name);
    await settled();
    assert.deepEqual(world.source.started, ['a', 'b']);
    world.source.held[1]?.answer();
    await settled();
    assert.deepEqual(world.source.started, ['a', 'b', 'c']);
    while (world.source.held.length > 0) await world.answer();
    assert.equal(world.source.parallelSeen, 2);
    assert.equal(world.source.started.length, 4);
  });

  test('warm-up of new identities is one at a time and lets a connection pass', async () => {
    const world = new ManualWorld({ fetchesParallelMax: 1 });
    for (const name of ['w1', 'w2', 'w3']) world.manager.warmUp(name);
    const urgent = world.manager.certificate('urgent');
    await settled();
    assert.deepEqual(world.source.started, ['w1']);
    await world.answer();
    await world.answer();
    await urgent;
    assert.deepEqual(world.source.started, ['w1', 'urgent', 'w2']);
    await world.answer();
    await world.answer();
    assert.deepEqual(world.source.started, ['w1', 'urgent', 'w2', 'w3']);
    assert.equal(world.manager.current('w3')?.identity, 'w3');
  });

  test('warm-up of an existing identity does nothing, and one that waits is raised when a connection needs it', async () => {
    const world = new ManualWorld({ fetchesParallelMax: 1 });
    void world.manager.certificate('blocker');
    world.manager.warmUp('blocker');
    for (const name of ['w1', 'w2', 'w2', 'w3']) world.manager.warmUp(name);
    void world.manager.certificate('w2');
    await settled();
    for (let i = 0; i < 5; i += 1) await world.answer();
    assert.deepEqual(world.source.started, ['blocker', 'w2', 'w1', 'w3']);
    void world.manager.certificate('blocker 2');
    world.manager.warmUp('w4');
    void world.manager.certificate('w4');
    void world.manager.certificate('w5');
    await settled();
    for (let i = 0; i < 3; i += 1) await world.answer();
    assert.deepEqual(world.source.started.slice(4), ['blocker 2', 'w4', 'w5']);
  });

  test('a failed warm-up does not hold up the next', async () => {
    const world = new ManualWorld();
    world.manager.warmUp('w1');
    world.manager.warmUp('w2');
    await settled();
    await world.fail();
    assert.deepEqual(world.source.started, ['w1', 'w2']);
    await assert.rejects(world.manager.certificate('w1'), /refused/);
  });

  test('warm-ups beyond the queue are dropped and counted, and still fetched on demand', async () => {
    const world = new ManualWorld();
    for (let i = 0; i < WARM_UPS_QUEUED_MAX + 3; i += 1) world.manager.warmUp(`w${i}`);
    // One is on its way, the queue is full, two are left.
    assert.equal(world.manager.counters.warmUpsDropped, 2);
    const last = world.manager.certificate(`w${WARM_UPS_QUEUED_MAX + 2}`);
    await settled();
    world.source.held[1]?.answer();
    assert.equal((await last).identity, `w${WARM_UPS_QUEUED_MAX + 2}`);
  });
});

describe('failure', () => {
  test('unavailable: whoever waits and whoever asks later gets the error, until a fetch succeeds', async () => {
    const world = new ManualWorld();
    const waiting = world.manager.certificate(ID);
    await settled();
    await Promise.all([assert.rejects(waiting, /first/), world.fail('first')]);
    await assert.rejects(world.manager.certificate(ID), /first/);
    assert.equal(world.source.started.length, 1);
    await world.advance(2000);
    await assert.rejects(world.manager.certificate(ID), /first/);
    await world.answer();
    assert.equal((await world.manager.certificate(ID)).identity, ID);
  });

  test('backoff doubles to its maximum and resets after a success', async () => {
    const world = new ManualWorld();
    world.manager.certificate(ID).catch(() => {});
    await settled();
    const delays: number[] = [];
    for (let i = 0; i < 10; i += 1) {
      await world.fail();
      const failedAtMs = world.clock.nowMs();
      while (world.source.held.length === 0) await world.advance(100);
      delays.push(world.clock.nowMs() - failedAtMs);
    }
    for (const [i, delay] of delays.entries()) {
      const planned = Math.min(1000 * 2 ** i, RETRY_MAX_MS);
      assert.ok(delay >= planned * 0.8 && delay <= Math.min(planned * 1.2, RETRY_MAX_MS) + 100, `${i}: ${delay}`);
    }
    await world.answer();
    await world.advance(LIFE_MS / 2);
    await world.fail();
    await world.advance(1300);
    assert.equal(world.source.held.length, 1);
  });

  test('retention: a certificate that is still valid survives failed refreshes, until it expires', async () => {
    const world = new ManualWorld();
    void world.manager.certificate(ID);
    await settled();
    await world.answer();
    const fail = (): void => world.source.held[0]?.fail(new Error('down'));
    await world.advance(LIFE_MS - 1000, fail);
    assert.ok(world.manager.counters.fetchesFailed > 3);
    assert.equal((await world.manager.certificate(ID)).notBeforeMs, START_MS);
    await world.advance(2000, fail);
    await assert.rejects(world.manager.certificate(ID), /down/);
    assert.equal(world.announced.length, 1);
  });

  test('the last retry comes when the certificate expires, however long the backoff', async () => {
    const world = new ManualWorld();
    void world.manager.certificate(ID);
    await settled();
    await world.answer();
    const attempts: number[] = [];
    await world.advance(LIFE_MS, () => {
      if (world.source.held.length > 0) attempts.push(world.clock.nowMs());
      world.source.held[0]?.fail(new Error('down'));
    });
    assert.equal(attempts.at(-1), START_MS + LIFE_MS);
  });

  test('a fetch that never ends is given up, told so, and leaves its slot', async () => {
    const world = new ManualWorld({ fetchesParallelMax: 1, fetchTimeoutMs: 5000 });
    const stuck = world.manager.certificate('stuck');
    void world.manager.certificate('next');
    await settled();
    const [held] = world.source.held;
    await Promise.all([assert.rejects(stuck, { code: 'CERTIFICATE_TIMEOUT' }), world.advance(5000)]);
    assert.equal(held?.signal.aborted, true);
    assert.deepEqual(world.source.started, ['stuck', 'next']);
  });

  test('a source that throws at once is a failure like any other', async () => {
    const broken = {
      fetch: (): never => {
        throw new Error('broken');
      },
    };
    const world = new ManualWorld({}, broken);
    await assert.rejects(world.manager.certificate(ID), /broken/);
    assert.equal(world.manager.list()[0]?.state.is, 'unavailable');
  });

  test('a clock set back by an hour does not put a retry off by an hour', async () => {
    const world = new ManualWorld();
    world.manager.certificate(ID).catch(() => {});
    await settled();
    await world.fail();
    let backMs = 0;
    const { nowMs } = world.clock;
    world.clock.nowMs = () => nowMs.call(world.clock) - backMs;
    backMs = 3_600_000;
    world.wheel.advance(nowMs.call(world.clock) + 60_000);
    await settled();
    assert.equal(world.source.started.length, 2);
  });
});

describe('forget', () => {
  test('unused cleanup: a forgotten identity is neither kept nor renewed', async () => {
    const world = new ManualWorld();
    void world.manager.certificate(ID);
    void world.manager.certificate('other');
    await settled();
    await world.answer();
    await world.answer();
    world.manager.forget(ID);
    assert.equal(world.manager.current(ID), null);
    assert.equal(world.manager.size, 1);
    await world.advance(LIFE_MS / 2);
    assert.deepEqual(world.source.started, [ID, 'other', 'other']);
  });

  test('forget while pending: waiters get an error, the call is aborted, its late answer changes nothing', async () => {
    const world = new ManualWorld();
    const call = world.manager.certificate(ID);
    await settled();
    const [held] = world.source.held;
    world.manager.forget(ID);
    await assert.rejects(call, { code: 'CERTIFICATE_FORGOTTEN' });
    assert.equal(held?.signal.aborted, true);
    held?.answer();
    await settled();
    assert.equal(world.manager.size, 0);
    assert.deepEqual(world.announced, []);
  });

  test('an identity asked for again after forget has a fetch of its own, whatever the former one brings', async () => {
    const world = new ManualWorld();
    world.manager.certificate(ID).catch(() => {});
    await settled();
    world.manager.forget(ID);
    const again = world.manager.certificate(ID);
    await settled();
    world.source.held[0]?.fail(new Error('aborted'));
    await settled();
    assert.equal(world.manager.list()[0]?.state.is, 'initializing');
    await world.answer();
    assert.equal((await again).identity, ID);
  });

  test('a warm-up that is forgotten in the queue or on its way makes room for the next', async () => {
    const world = new ManualWorld();
    for (const name of ['w1', 'w2', 'w3']) world.manager.warmUp(name);
    await settled();
    world.manager.forget('w2');
    world.manager.forget('w1');
    await settled();
    assert.deepEqual(world.source.started, ['w1', 'w3']);
  });

  test('after close nothing is fetched, waiters are woken and callers refused', async () => {
    const world = new ManualWorld();
    const call = world.manager.certificate(ID);
    await settled();
    world.manager.close();
    await assert.rejects(call, { code: 'CERTIFICATES_CLOSED' });
    await assert.rejects(world.manager.certificate(ID), { code: 'CERTIFICATES_CLOSED' });
    world.manager.warmUp('w1');
    await world.advance(100_000);
    assert.deepEqual(world.source.started, [ID]);
    assert.equal(world.wheel.size, 0);
  });

  test('identities are bounded', async () => {
    const world = new ManualWorld({ identitiesMax: 2 });
    void world.manager.certificate('a');
    void world.manager.certificate('b');
    await assert.rejects(world.manager.certificate('c'), { code: 'CERTIFICATES_TOO_MANY' });
    world.manager.warmUp('d');
    assert.equal(world.manager.size, 2);
    assert.equal(world.manager.counters.warmUpsDropped, 1);
    assert.ok(IDENTITIES_MAX > WARM_UPS_QUEUED_MAX);
  });
});
