import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { HpackDecoder, HpackEncoder } from '@ambit/wire/hpack';
import { FrameFlag, FrameType, PREFACE } from './frames.ts';
import { Http2Session } from './session.ts';
import { concat, frame, Recorder, testOptions } from './test-support.ts';

const SESSIONS = 1000;
const IDLE_BYTES_MAX = 2048;

function collectGarbage(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Bytes that each of many takes. */
function each(make: () => unknown): number {
  for (let i = 0; i < 100; i++) make();
  const before = collectGarbage();
  const kept = Array.from({ length: SESSIONS }, make);
  const bytes = (collectGarbage() - before) / SESSIONS;
  assert.equal(kept.length, SESSIONS);
  return bytes;
}

test('an idle session is small beside its header tables', () => {
  const handler = new Recorder();
  const transport = { write: () => {}, writableBytes: () => 1 };
  const options = testOptions('server');
  const start = concat(PREFACE, frame(FrameType.SETTINGS, 0, 0), frame(FrameType.SETTINGS, FrameFlag.ACK, 0));
  const tables = each(() => [new HpackEncoder(), new HpackDecoder(4096, 16_384)]);
  const session = each(() => {
    const made = new Http2Session(options, transport, handler);
    made.start();
    made.receive(start, 0, start.length);
    return made;
  });
  assert.ok(session - tables < IDLE_BYTES_MAX, `${session - tables} bytes, and ${tables} of tables`);
});
