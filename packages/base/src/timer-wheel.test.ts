import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ManualClock } from './clock.ts';
import { DELAY_MAX_MS, type Timer, TimerWheel } from './timer-wheel.ts';

function wheelAt(startMs: number) {
  const clock = new ManualClock(startMs);
  const wheel = new TimerWheel(clock);
  const advance = (byMs: number): void => {
    clock.advance(byMs);
    wheel.advance(clock.nowMs());
  };
  return { clock, wheel, advance };
}

test('a timer fires at its deadline and not a millisecond sooner, however far it is', () => {
  for (const delayMs of [1, 31, 32, 33, 1023, 1024, 5000, 32_768, 86_400_000, 2 ** 35 + 1]) {
    for (const startMs of [0, 31, 1000.25, 1e12]) {
      const { wheel, advance } = wheelAt(startMs);
      let fired = 0;
      wheel.schedule(delayMs, () => {
        fired += 1;
      });
      advance(delayMs - 1);
      assert.equal(fired, 0, `${delayMs} ms from ${startMs} fired early`);
      advance(2);
      assert.equal(fired, 1, `${delayMs} ms from ${startMs} did not fire`);
      assert.equal(wheel.size, 0);
      assert.equal(wheel.nextExpiryMs(startMs + delayMs + 1), -1);
    }
  }
});

test('a delay of zero or less fires in the next advance, without time passing, and cannot loop in one', () => {
  const { clock, wheel, advance } = wheelAt(7);
  let fired = 0;
  const again = (): void => {
    fired += 1;
    wheel.schedule(-1, again);
  };
  wheel.schedule(0, again);
  assert.equal(wheel.nextExpiryMs(clock.nowMs()), 0);
  advance(0);
  assert.equal(fired, 1);
  advance(0);
  assert.equal(fired, 2);
  assert.equal(wheel.size, 1);
});

test('a callback may cancel a timer of the same millisecond, itself, and schedule a new one', () => {
  const { wheel, advance } = wheelAt(0);
  const log: string[] = [];
  const first: Timer = wheel.schedule(10, () => {
    log.push('first');
    first.cancel();
    second.cancel();
    wheel.schedule(5, () => log.push('third'));
  });
  const second = wheel.schedule(10, () => log.push('second'));
  advance(10);
  assert.deepEqual(log, ['first']);
  advance(4);
  assert.deepEqual(log, ['first']);
  advance(1);
  assert.deepEqual(log, ['first', 'third']);
  assert.equal(wheel.size, 0);
});

test('a callback that throws costs no other timer its call', () => {
  const { clock, wheel, advance } = wheelAt(0);
  let fired = 0;
  wheel.schedule(1, () => {
    throw new Error('a handler broke');
  });
  wheel.schedule(1, () => {
    fired += 1;
  });
  wheel.schedule(2, () => {
    fired += 1;
  });
  assert.throws(() => advance(2), /a handler broke/);
  assert.equal(fired, 0);
  assert.equal(wheel.nextExpiryMs(clock.nowMs()), 0);
  advance(0);
  assert.equal(fired, 2);
});

test('a clock that goes back or stands still fires nothing twice and loses nothing', () => {
  const { wheel } = wheelAt(100);
  let fired = 0;
  wheel.schedule(50, () => {
    fired += 1;
  });
  for (const nowMs of [149, 120, 0, 149.9]) wheel.advance(nowMs);
  assert.equal(fired, 0);
  wheel.advance(150);
  wheel.advance(150);
  assert.equal(fired, 1);
});

test('a delay that is not a number of milliseconds is refused', () => {
  const { wheel } = wheelAt(0);
  for (const delayMs of [Number.NaN, Number.POSITIVE_INFINITY, DELAY_MAX_MS + 1]) {
    assert.throws(() => wheel.schedule(delayMs, () => {}), /assertion failed/);
  }
  wheel.schedule(DELAY_MAX_MS, () => {});
  assert.equal(wheel.size, 1);
});

test('cancelling 100,000 timers leaves a wheel that waits for nothing, however they are spread', () => {
  const { clock, wheel, advance } = wheelAt(0);
  let fired = 0;
  const timers: Timer[] = [];
  for (let i = 0; i < 100_000; i++) {
    timers.push(
      wheel.schedule((i * 7919) % 3_000_000, () => {
        fired += 1;
      }),
    );
  }
  assert.equal(wheel.size, 100_000);
  advance(1_500_000);
  const left = wheel.size;
  assert.equal(fired + left, 100_000);
  for (const timer of timers) timer.cancel();
  assert.equal(wheel.size, 0);
  assert.equal(wheel.nextExpiryMs(clock.nowMs()), -1);
  advance(3_000_000);
  assert.equal(fired, 100_000 - left);
});

type Step =
  | { readonly is: 'schedule'; readonly delayMs: number; readonly thenMs: number | null }
  | { readonly is: 'cancel'; readonly which: number }
  | { readonly is: 'advance'; readonly byMs: number };

const delay = fc.oneof(
  fc.integer({ min: -1, max: 80 }),
  fc.integer({ min: 0, max: 70_000 }),
  fc.double({ min: 0, max: 99, noNaN: true }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ is: fc.constant('schedule' as const), delayMs: delay, thenMs: fc.option(delay) }),
  fc.record({ is: fc.constant('cancel' as const), which: fc.nat(30) }),
  fc.record({
    is: fc.constant('advance' as const),
    byMs: fc.oneof(fc.integer({ min: 0, max: 40_000 }), fc.double({ min: 0, max: 40, noNaN: true })),
  }),
);

interface Expected {
  readonly id: number;
  readonly deadlineMs: number;
  readonly dueMs: number;
  state: 'waits' | 'fired' | 'cancelled';
}

/** A wheel and, beside it, the list of what its timers ought to do. */
class Checked {
  readonly #clock: ManualClock;
  readonly #wheel: TimerWheel;
  readonly #expected: Expected[] = [];
  readonly #timers: Timer[] = [];
  #fired: Expected[] = [];

  constructor(startMs: number) {
    this.#clock = new ManualClock(startMs);
    this.#wheel = new TimerWheel(this.#clock);
  }

  schedule(delayMs: number, thenMs: number | null): void {
    const deadlineMs = this.#clock.nowMs() + Math.max(0, delayMs);
    const id = this.#expected.length;
    const timer: Expected = { id, deadlineMs, dueMs: Math.ceil(deadlineMs), state: 'waits' };
    this.#expected.push(timer);
    const onFire = (): void => {
      assert.equal(timer.state, 'waits', 'fires once, and only when not cancelled');
      assert.ok(this.#clock.nowMs() >= timer.deadlineMs, 'never early');
      timer.state = 'fired';
      this.#fired.push(timer);
      if (thenMs !== null) this.schedule(thenMs, null);
    };
    this.#timers.push(this.#wheel.schedule(delayMs, onFire));
  }

  cancel(which: number): void {
    this.#timers[which]?.cancel();
    const timer = this.#expected[which];
    if (timer?.state === 'waits') timer.state = 'cancelled';
  }

  advance(byMs: number): void {
    const before = this.#waiting();
    this.#fired = [];
    this.#clock.advance(byMs);
    this.#wheel.advance(this.#clock.nowMs());
    const due = before.filter((timer) => timer.dueMs <= Math.floor(this.#clock.nowMs()));
    due.sort((a, b) => a.dueMs - b.dueMs || a.id - b.id);
    assert.deepEqual(
      this.#fired.filter((timer) => before.includes(timer)),
      due,
      'all that is due, by deadline and then by scheduling',
    );
  }

  check(): void {
    const waiting = this.#waiting();
    const nowMs = this.#clock.nowMs();
    assert.equal(this.#wheel.size, waiting.length);
    const waitMs = this.#wheel.nextExpiryMs(nowMs);
    if (waiting.length === 0) {
      assert.equal(waitMs, -1);
      return;
    }
    const earliestMs = Math.min(...waiting.map((timer) => timer.dueMs));
    assert.ok(
      waitMs >= 0 && nowMs + waitMs < Math.max(earliestMs, nowMs) + 1,
      'woken in the millisecond at the latest',
    );
  }

  #waiting(): Expected[] {
    return this.#expected.filter((timer) => timer.state === 'waits');
  }
}

test('any run of schedule, cancel and advance agrees with a sorted list', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.array(step, { maxLength: 60 }), (startMs, steps) => {
      const checked = new Checked(startMs);
      for (const action of steps) {
        if (action.is === 'schedule') checked.schedule(action.delayMs, action.thenMs);
        else if (action.is === 'cancel') checked.cancel(action.which);
        else checked.advance(action.byMs);
        checked.check();
      }
    }),
    { numRuns: 500 },
  );
});

test('sleeping exactly as long as nextExpiryMs says fires every timer in the millisecond of its deadline', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5_000_000 }), { minLength: 1, maxLength: 40 }), (delays) => {
      const { clock, wheel, advance } = wheelAt(0);
      for (const delayMs of delays) wheel.schedule(delayMs, () => assert.equal(clock.nowMs(), delayMs));
      let wakes = 0;
      for (let waitMs = wheel.nextExpiryMs(0); waitMs !== -1; waitMs = wheel.nextExpiryMs(clock.nowMs())) {
        advance(waitMs);
        wakes += 1;
      }
      assert.equal(wheel.size, 0);
      assert.ok(wakes <= delays.length * 5, 'a timer wakes the reactor at most once per level');
    }),
  );
});
