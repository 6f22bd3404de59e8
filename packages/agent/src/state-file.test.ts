import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { AmbitError } from '@ambit/base/errors';
import { STATE_FILE_MAX_BYTES } from './limits.ts';
import { type EnrolledRecord, StateFile } from './state-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'ambit-state-'));
after(() => rmSync(directory, { recursive: true }));
const A: EnrolledRecord = { uid: 'a', inode: 1, device: 4, path: '/run/netns/a', mechanism: 'nftables' };
const B: EnrolledRecord = { ...A, uid: 'b', inode: 2 };

test('what was put and not deleted is there for the next run', () => {
  const path = join(directory, 'made', 'enrolled.json');
  const file = new StateFile(path);
  assert.deepEqual(file.load(), []);
  for (const record of [A, B, { ...B, path: '/proc/7/ns/net' }]) file.put(record);
  file.delete(A);
  file.delete(A);
  assert.deepEqual(new StateFile(path).load(), [{ ...B, path: '/proc/7/ns/net' }]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(existsSync(`${path}.new`), false);
});

test('a namespace has one record for each mechanism, whoever it belongs to', () => {
  const file = new StateFile(join(directory, 'hands'));
  file.put(A);
  file.put({ ...A, uid: 'b' });
  assert.deepEqual(file.recordsOf('a'), []);
  assert.deepEqual(file.recordsOf('b'), [{ ...A, uid: 'b' }]);
  const old: EnrolledRecord = { ...A, uid: 'b', mechanism: 'iptables' };
  file.put(old);
  file.delete(A);
  assert.deepEqual(file.recordsOf('b'), [old]);
});

const UNREADABLE: readonly (readonly [title: string, text: string])[] = [
  ['half a file', '{"version":1,"enrol'],
  ['another version', '{"version":2,"enrolled":[]}'],
  ['something else', 'null'],
  ['a record without its namespace', JSON.stringify({ version: 1, enrolled: [{ ...A, inode: undefined }] })],
  ['a record of an unknown mechanism', JSON.stringify({ version: 1, enrolled: [{ ...A, mechanism: 'ebpf' }] })],
  ['a record that is none', '{"version":1,"enrolled":[null]}'],
  ['too much', ' '.repeat(STATE_FILE_MAX_BYTES + 1)],
];
for (const [title, text] of UNREADABLE) {
  test(`${title} is told, kept beside and replaced`, () => {
    const path = join(directory, title);
    writeFileSync(path, text);
    const file = new StateFile(path);
    assert.throws(
      () => file.load(),
      (error) => error instanceof AmbitError && error.code === 'STATE_FILE' && error.hint?.includes('.unreadable'),
    );
    assert.equal(readFileSync(`${path}.unreadable`, 'utf8'), text);
    assert.deepEqual(file.load(), []);
    file.put(A);
    assert.deepEqual(new StateFile(path).load(), [A]);
  });
}
