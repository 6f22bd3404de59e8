import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { closeDescriptor } from '@ambit/platform/socket';
import { createReactor } from './reactor/index.ts';
import { connectRecords, type RecordBounds, RecordLink, RecordListener, type RecordOwner } from './records.ts';

const reactor = createReactor();
const directory = mkdtempSync(join(tmpdir(), 'ambit-records-'));
after(async () => {
  await reactor.close();
  rmSync(directory, { recursive: true });
});

const BOUNDS: RecordBounds = { recordMaxBytes: 16, fdsMax: 1 };
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (word: string): Uint8Array => new TextEncoder().encode(word);

class Recorder implements RecordOwner {
  readonly records: string[] = [];
  readonly fds: number[] = [];
  readonly ends: (string | null)[] = [];
  onNext: () => void = () => {};

  onRecord(record: Uint8Array, fds: readonly number[]): void {
    this.records.push(text(record));
    this.fds.push(...fds);
    this.onNext();
  }

  onEnd(problem: string | null): void {
    this.ends.push(problem);
  }
}

interface Pair {
  readonly near: RecordLink;
  readonly far: RecordLink;
  readonly nearSaw: Recorder;
  readonly farSaw: Recorder;
  readonly listener: RecordListener;
  readonly path: string;
}

async function withPair(use: (pair: Pair) => Promise<void>): Promise<void> {
  const path = join(directory, `socket-${counter++}`);
  const [nearSaw, farSaw] = [new Recorder(), new Recorder()];
  const accepted: RecordLink[] = [];
  const listener = new RecordListener(reactor, path, (fd) =>
    accepted.push(new RecordLink(reactor, fd, BOUNDS, farSaw)),
  );
  const near = connectRecords(reactor, path, BOUNDS, nearSaw);
  try {
    await until(() => accepted.length === 1);
    await use({ near, far: accepted[0] as RecordLink, nearSaw, farSaw, listener, path });
  } finally {
    for (const link of [near, ...accepted]) link.close();
    listener.close();
  }
}

let counter = 0;

function descriptorsOf(target: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    const path = `/proc/self/fd/${fd}`;
    return existsSync(path) && readlinkSync(path) === target;
  }).length;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 5000, 'it never came');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('records arrive whole and in order, with their descriptors', async () => {
  await withPair(async ({ near, far, nearSaw, farSaw }) => {
    const file = join(directory, 'file');
    writeFileSync(file, 'content');
    const fd = openSync(file, 'r');
    assert.equal(near.send(bytes('one')), null);
    assert.equal(near.send(bytes('two'), [fd]), null);
    closeDescriptor(fd);
    await until(() => farSaw.records.length === 2);
    assert.deepEqual(farSaw.records, ['one', 'two']);
    assert.equal(farSaw.fds.length, 1);
    assert.equal(readFileSync(farSaw.fds[0] as number, 'utf8'), 'content');
    closeDescriptor(farSaw.fds[0] as number);
    far.send(bytes('back'));
    await until(() => nearSaw.records.length === 1);
  });
});

test('what comes during a pause waits, and so does the end', async () => {
  await withPair(async ({ near, far, farSaw }) => {
    farSaw.onNext = () => far.pause();
    for (const word of ['one', 'two', 'three']) near.send(bytes(word));
    near.close();
    for (const seen of [['one'], ['one', 'two'], ['one', 'two', 'three']]) {
      await until(() => farSaw.records.length === seen.length);
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.deepEqual(farSaw.records, seen);
      assert.deepEqual(farSaw.ends, []);
      far.resume();
    }
    await until(() => farSaw.ends.length === 1);
    assert.deepEqual(farSaw.ends, [null]);
  });
});

test('a record that is too long ends the link, and so does one descriptor too many, which is closed', async () => {
  await withPair(async ({ near, farSaw }) => {
    near.send(bytes('seventeen letters'));
    await until(() => farSaw.ends.length === 1);
    assert.deepEqual(farSaw.ends, ['a record has longer than the room for it']);
    assert.deepEqual(farSaw.records, []);
  });
  await withPair(async ({ near, farSaw }) => {
    const fd = openSync('/dev/null', 'r');
    const before = descriptorsOf('/dev/null');
    near.send(bytes('x'), [fd, fd]);
    await until(() => farSaw.ends.length === 1);
    assert.deepEqual(farSaw.ends, ['a record has too many descriptors']);
    assert.equal(descriptorsOf('/dev/null'), before);
    closeDescriptor(fd);
  });
});

test('who does not read is not waited for', async () => {
  await withPair(async ({ near, far }) => {
    far.pause();
    let problem: string | null = null;
    for (let sent = 0; problem === null && sent < 10_000; sent += 1) problem = near.send(bytes('x'));
    assert.equal(problem, 'the other side does not read');
  });
});

test('an owner that throws loses its link and is told', async () => {
  const faults: unknown[] = [];
  const own = createReactor({ onFault: (thrown) => faults.push(thrown) });
  const path = join(directory, 'throws');
  const owner = new Recorder();
  owner.onNext = () => {
    throw new Error('mistake');
  };
  const listener = new RecordListener(own, path, (fd) => new RecordLink(own, fd, BOUNDS, owner));
  const near = connectRecords(reactor, path, BOUNDS, new Recorder());
  near.send(bytes('x'));
  await until(() => owner.ends.length === 1);
  assert.deepEqual(owner.ends, ['handling a record failed']);
  assert.equal(own.counters.handlerFaults, 1);
  assert.match(String(faults[0]), /mistake/);
  near.close();
  listener.close();
  await own.close();
});

test('a listener that pauses leaves connections waiting, and one that closes leaves no socket behind', async () => {
  const path = join(directory, 'pauses');
  const taken: number[] = [];
  const listener = new RecordListener(reactor, path, (fd) => {
    taken.push(fd);
    listener.pause();
  });
  const links = [1, 2].map(() => connectRecords(reactor, path, BOUNDS, new Recorder()));
  await until(() => taken.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(taken.length, 1);
  listener.resume();
  await until(() => taken.length === 2);
  for (const fd of taken) closeDescriptor(fd);
  for (const link of links) link.close();
  listener.close();
  assert.equal(existsSync(path), false);
  assert.throws(() => connectRecords(reactor, path, BOUNDS, new Recorder()), /ENOENT/);
});
