import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { RECORD_MAX_BYTES } from './limits.ts';
import {
  type ChildRecord,
  encodeRecord,
  type Json,
  type ParentRecord,
  parseChildRecord,
  parseParentRecord,
} from './protocol.ts';

const PARENT: readonly ParentRecord[] = [
  { type: 'listener', id: 'pod/15008', purpose: { port: 15008 } },
  { type: 'listener-removed', id: 'pod/15008' },
  { type: 'state', epoch: 3, more: false, body: null },
  { type: 'ping', sequence: 1 },
  { type: 'drain', deadlineMs: 5000 },
];
const CHILD: readonly ChildRecord[] = [
  { type: 'joined' },
  { type: 'applied', epoch: 0 },
  { type: 'pong', sequence: 1 },
  { type: 'log', line: 'été\n' },
  { type: 'message', body: [1, 'a', null] },
  { type: 'replace', reason: 'faults' },
];
const textOf = (record: ParentRecord | ChildRecord): string => new TextDecoder().decode(encodeRecord(record));

test('every record survives the way and is understood by the other side alone', () => {
  for (const record of PARENT) {
    assert.deepEqual(parseParentRecord(textOf(record)), record);
    assert.equal(parseChildRecord(textOf(record)), null);
  }
  for (const record of CHILD) {
    assert.deepEqual(parseChildRecord(textOf(record)), record);
    assert.equal(parseParentRecord(textOf(record)), null);
  }
});

test('a body is carried as it is', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 2 }), fc.nat(), (body, epoch) => {
      const sent = JSON.parse(JSON.stringify(body)) as Json;
      const record: ParentRecord = { type: 'state', epoch, more: true, body: sent };
      assert.deepEqual(parseParentRecord(textOf(record)), record);
    }),
    { numRuns: 50 },
  );
});

test('a field that is missing, of another type or one too many is refused', () => {
  for (const record of [...PARENT, ...CHILD]) {
    const parse = (PARENT as readonly object[]).includes(record) ? parseParentRecord : parseChildRecord;
    for (const name of Object.keys(record)) {
      const { [name]: _gone, ...rest } = record as Record<string, unknown>;
      assert.equal(parse(JSON.stringify(rest)), null, `${record.type} without ${name}`);
      if (name === 'body' || name === 'purpose') continue;
      assert.equal(parse(JSON.stringify({ ...record, [name]: [] })), null, `${record.type} with a list as ${name}`);
    }
    assert.equal(parse(JSON.stringify({ ...record, extra: 1 })), null);
  }
});

test('what is no record is refused', () => {
  const texts = [
    '',
    'null',
    '1',
    '[]',
    '{}',
    '{"type":1}',
    '{"type":"__proto__"}',
    '{"type":"constructor"}',
    '{"type"',
  ];
  for (const text of [...texts, '{"type":"ping","sequence":-1}', '{"type":"ping","sequence":1.5}']) {
    assert.equal(parseParentRecord(text), null, text);
    assert.equal(parseChildRecord(text), null, text);
  }
});

test('a record above the cap is refused when it is made', () => {
  const overheadBytes = encodeRecord({ type: 'message', body: '' }).length;
  const fits = 'x'.repeat(RECORD_MAX_BYTES - overheadBytes);
  assert.equal(encodeRecord({ type: 'message', body: fits }).length, RECORD_MAX_BYTES);
  assert.throws(() => encodeRecord({ type: 'message', body: `${fits}x` }), { code: 'WORKER_RECORD_TOO_LARGE' });
});
