import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { LogRing } from './log-ring.ts';

const lost = (count: number): string => `lost ${count}`;

test('lines come out in order, and a gap is told at its end, once', () => {
  const ring = new LogRing(2);
  const out: string[] = [];
  const write = (line: string): boolean => out.push(line) > 0;
  for (const line of ['a', 'b', 'c', 'd']) ring.push(line);
  assert.equal(ring.drain(write, lost), true);
  ring.push('e');
  assert.equal(ring.drain(write, lost), true);
  assert.deepEqual(out, ['a', 'b', 'lost 2', 'e']);
  assert.equal(ring.dropped, 2);
  assert.equal(ring.length, 0);
});

test('a pipe that is full stops the draining, and nothing is written twice or lost', () => {
  const ring = new LogRing(10);
  const out: string[] = [];
  for (const line of ['a', 'b', 'c']) ring.push(line);
  const fullAfter = (lines: number) => (line: string) => out.push(line) < lines;
  assert.equal(ring.drain(fullAfter(1), lost), false);
  assert.equal(ring.drain(fullAfter(2), lost), false);
  assert.equal(ring.drain(fullAfter(99), lost), true);
  assert.deepEqual(out, ['a', 'b', 'c']);
});

test('every line is either handed out or counted as lost', () => {
  const step = fc.oneof(fc.constant('push' as const), fc.constant('push' as const), fc.nat(5));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 80 }), (linesMax, steps) => {
      const ring = new LogRing(linesMax);
      let pushed = 0;
      let written = 0;
      let told = 0;
      const drain = (takes: number): boolean => {
        let left = takes;
        const write = (line: string): boolean => {
          if (line.startsWith('lost ')) told += Number(line.slice(5));
          else written += 1;
          left -= 1;
          return left > 0;
        };
        return ring.drain(write, lost);
      };
      for (const action of steps) {
        if (action === 'push') {
          ring.push(`line ${pushed}`);
          pushed += 1;
        } else {
          drain(action);
        }
        assert.ok(ring.length <= linesMax);
        assert.equal(written + ring.length + ring.dropped, pushed);
      }
      assert.equal(drain(Number.POSITIVE_INFINITY), true);
      assert.equal(written + told, pushed);
      assert.equal(told, ring.dropped);
    }),
  );
});
