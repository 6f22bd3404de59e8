import assert from 'node:assert/strict';
import test from 'node:test';
import { WireWatch } from './wire.ts';

interface Part {
  readonly from: number;
  readonly to: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

function frameOf({ from, to, sequence, payload }: Part): Uint8Array {
  const frame = Buffer.alloc(54 + payload.length);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(40 + payload.length, 16);
  frame[23] = 6;
  frame.writeUInt16BE(from, 34);
  frame.writeUInt16BE(to, 36);
  frame.writeUInt32BE(sequence, 38);
  frame[46] = 0x50;
  frame.set(payload, 54);
  return frame;
}

const record = (type: number, body: string): Buffer =>
  Buffer.concat([Buffer.from([type, 3, 3, 0, body.length]), Buffer.from(body)]);

test('words that are cut in two by the packets are seen', () => {
  const watch = new WireWatch(15008);
  watch.frame(frameOf({ from: 80, to: 5000, sequence: 0xfffffffe, payload: Buffer.from('plain wo') }));
  watch.frame(frameOf({ from: 80, to: 5000, sequence: 6, payload: Buffer.from('rds') }));
  const report = watch.report('plain words');
  assert.deepEqual(report, { segments: 2, wordsSeen: true, tlsRecords: 0, strayBytes: 0, otherBytes: 11 });
});

test('records are counted across packets, and a packet that is sent again counts once', () => {
  const stream = Buffer.concat([record(22, 'hello'), record(23, 'sealed'), record(23, 'more')]);
  for (let cut = 1; cut < stream.length; cut++) {
    const watch = new WireWatch(15008);
    const first = frameOf({ from: 5000, to: 15008, sequence: 100, payload: stream.subarray(0, cut) });
    watch.frame(first);
    watch.frame(first);
    watch.frame(frameOf({ from: 5000, to: 15008, sequence: 100 + cut, payload: stream.subarray(cut) }));
    const { tlsRecords, strayBytes, wordsSeen } = watch.report('words');
    assert.deepEqual([tlsRecords, strayBytes, wordsSeen], [3, 0, false]);
  }
});

test('what is no TLS on the port is told', () => {
  const watch = new WireWatch(15008);
  watch.frame(frameOf({ from: 15008, to: 5000, sequence: 1, payload: Buffer.from('GET / HTTP/1.0') }));
  assert.equal(watch.report('words').strayBytes, 14);
});

test('what is no IPv4 TCP, or carries nothing, is passed over', () => {
  const watch = new WireWatch(15008);
  const whole = frameOf({ from: 1, to: 2, sequence: 1, payload: Buffer.from('x') });
  for (let length = 0; length < whole.length; length++) watch.frame(whole.subarray(0, length));
  watch.frame(frameOf({ from: 1, to: 2, sequence: 1, payload: Buffer.alloc(0) }));
  assert.equal(watch.report('x').segments, 0);
});
