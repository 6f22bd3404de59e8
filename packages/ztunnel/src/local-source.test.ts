/** A mesh from a file: applied at the start, again when it changes, and kept when the file breaks. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { ManualClock } from '@ambit/base/clock';
import { createLog, silentLog } from '@ambit/base/log';
import { seededRng } from '@ambit/base/rng';
import { missingPolicies } from '@ambit/model/authorize';
import { chooseEndpoint } from '@ambit/model/choose-endpoint';
import { LIMITS } from './limits.ts';
import { LocalSource } from './local-source.ts';
import { ip, ManualTimers } from './state/mesh.fixture.ts';
import { MeshState } from './state/mesh-state.ts';
import type { Timers } from './state/wait-list.ts';

const LOCALHOST = `
workloads:
- uid: cluster1//Pod/default/local
  name: local
  namespace: default
  serviceAccount: default
  workloadIps: ["127.0.0.1"]
  protocol: HBONE
  node: local
  services:
    default/example.com: {80: 8080}
policies:
- {name: deny-9999, namespace: default, scope: Namespace, action: Allow, dryRun: false, rules: [[[{notDestinationPorts: [9999]}]]]}
services:
- {name: local, namespace: default, hostname: example.com, vips: [/127.10.0.1], ports: {80: 0}}
`;

/** Of workloads only. */
function meshOf(...uids: string[]): string {
  return `workloads:\n${uids.map((uid) => `- {uid: ${uid}, namespace: n, workloadIps: [], services: {}}\n`).join('')}`;
}

function withFolder(run: (folder: string) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'local-source-'));
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

function open(path: string, timers: Timers = new ManualTimers()) {
  const state = new MeshState({ localNode: null });
  const logged: string[] = [];
  const sink = (line: string): void => {
    logged.push(line);
  };
  const log = createLog({
    level: 'warn',
    format: ({ event, fields }) => `${event}: ${(fields.error as Error).message}`,
    clock: new ManualClock(),
    sink,
  });
  const source = new LocalSource({ is: 'file', path }, { sink: state, timers, log });
  const uids = () => [...state.workloads()].map(({ uid }) => uid);
  return { state, source, logged, uids };
}

test('local_client: an inline mesh is applied at once, with services and policies', () => {
  const state = new MeshState({ localNode: 'local' });
  const dependencies = { sink: state, timers: new ManualTimers(), log: silentLog };
  new LocalSource({ is: 'inline', text: LOCALHOST }, dependencies).start();
  assert.ok(state.isReady);
  assert.equal(state.workloadByAddress('', ip('127.0.0.1'))?.name, 'local');
  const [service] = state.servicesByVip('', ip('127.10.0.1'));
  assert.ok(service);
  const local = state.localWorkload({ name: 'local', namespace: 'default', serviceAccount: 'default' });
  assert.ok(local);
  assert.equal(chooseEndpoint(state, local, service, 80, 'standard', seededRng(1))?.port, 8080);
  assert.equal(state.policies.inNamespace('default').allow.length, 1);
});

test('a mesh that is wrong from the start is not started', () => {
  const dependencies = { sink: new MeshState({ localNode: null }), timers: new ManualTimers(), log: silentLog };
  const inline = new LocalSource({ is: 'inline', text: 'workload: []' }, dependencies);
  assert.throws(() => inline.start(), { message: 'LOCAL_XDS:1:1: workload is not known; did you mean workloads?' });
  const missing = new LocalSource({ is: 'file', path: '/not/there.yaml' }, dependencies);
  assert.throws(() => missing.start(), { code: 'LOCAL_FILE_UNREADABLE', message: /^\/not\/there.yaml: ENOENT/ });
});

test(
  'a file that is too large is not read',
  withFolder((folder) => {
    const path = join(folder, 'mesh.yaml');
    writeFileSync(path, '{}'.padEnd(LIMITS.localFileMaxBytes));
    const { source } = open(path);
    source.start();
    source.close();
    writeFileSync(path, '{}'.padEnd(LIMITS.localFileMaxBytes + 1));
    assert.throws(() => open(path).source.start(), { code: 'LOCAL_FILE_UNREADABLE', message: /are more than/ });
  }),
);

describe('a file', () => {
  /** Nobody notifies: only looking finds what changed. */
  const look = (timers: ManualTimers) => timers.advance(LIMITS.localFilePollMs);

  test(
    'is read again when it changed: what it no longer names is gone',
    withFolder((folder) => {
      const path = join(folder, 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, `${LOCALHOST}`);
      const { state, source, uids } = open(path, timers);
      source.start();
      writeFileSync(path, meshOf('a', 'b'));
      look(timers);
      assert.deepEqual(uids(), ['a', 'b']);
      assert.deepEqual([state.sizes().services, state.sizes().policies], [0, 0]);
      // Removed and not just unknown: nobody waits for it.
      assert.deepEqual(missingPolicies(state.policies, ['default/deny-9999']), []);
      source.close();
    }),
  );
  test(
    'is not applied again when its text is the same',
    withFolder((folder) => {
      const path = join(folder, 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, meshOf('a'));
      const { state, source } = open(path, timers);
      source.start();
      const { epoch } = state;
      writeFileSync(path, meshOf('a'));
      look(timers);
      assert.equal(state.epoch, epoch);
      source.close();
    }),
  );
  test(
    'that breaks or vanishes leaves the last good mesh, says once why, and counts again when it is repaired',
    withFolder((folder) => {
      const path = join(folder, 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, meshOf('a'));
      const { source, logged, uids } = open(path, timers);
      source.start();
      writeFileSync(path, 'workloads:\n- {uid: b, namespac: n}\n');
      look(timers);
      look(timers);
      assert.deepEqual(uids(), ['a']);
      assert.match(String(source.fault), /mesh\.yaml:2:3: workloads\[0\] has no namespace/);
      writeFileSync(path, '');
      look(timers);
      assert.deepEqual(uids(), ['a']);
      renameSync(path, `${path}.away`);
      look(timers);
      look(timers);
      assert.equal(source.fault?.code, 'LOCAL_FILE_UNREADABLE');
      assert.deepEqual(
        logged.map((line) => /has no namespace|is empty|ENOENT/.exec(line)?.[0]),
        ['has no namespace', 'is empty', 'ENOENT'],
      );
      writeFileSync(path, meshOf('b'));
      look(timers);
      assert.deepEqual(uids(), ['b']);
      assert.equal(source.fault, null);
      source.close();
    }),
  );
  test(
    'that was broken and is again what it was is in force',
    withFolder((folder) => {
      const path = join(folder, 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, meshOf('a'));
      const { source, uids } = open(path, timers);
      source.start();
      writeFileSync(path, 'x');
      look(timers);
      assert.notEqual(source.fault, null);
      writeFileSync(path, meshOf('a'));
      look(timers);
      assert.equal(source.fault, null);
      assert.deepEqual(uids(), ['a']);
      source.close();
    }),
  );
  test(
    'that was out of reach for a while is in force again, though nothing about it changed',
    withFolder((folder) => {
      mkdirSync(join(folder, 'mounted'));
      const path = join(folder, 'mounted', 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, meshOf('a'));
      const { source } = open(path, timers);
      source.start();
      renameSync(join(folder, 'mounted'), join(folder, 'away'));
      look(timers);
      assert.equal(source.fault?.code, 'LOCAL_FILE_UNREADABLE');
      renameSync(join(folder, 'away'), join(folder, 'mounted'));
      look(timers);
      assert.equal(source.fault, null);
      source.close();
    }),
  );
  test(
    'behind a link that is moved to another folder, as Kubernetes does, is found',
    withFolder((folder) => {
      for (const [name, uid] of [
        ['one', 'a'],
        ['two', 'b'],
      ] as const) {
        mkdirSync(join(folder, name));
        writeFileSync(join(folder, name, 'mesh.yaml'), meshOf(uid));
      }
      symlinkSync('one', join(folder, 'data'));
      symlinkSync('data/mesh.yaml', join(folder, 'mesh.yaml'));
      const timers = new ManualTimers();
      const { source, uids } = open(join(folder, 'mesh.yaml'), timers);
      source.start();
      symlinkSync('two', join(folder, 'data.next'));
      renameSync(join(folder, 'data.next'), join(folder, 'data'));
      look(timers);
      assert.deepEqual(uids(), ['b']);
      source.close();
    }),
  );
  test(
    'is not looked at after the end',
    withFolder((folder) => {
      const path = join(folder, 'mesh.yaml');
      const timers = new ManualTimers();
      writeFileSync(path, meshOf('a'));
      const { source, uids } = open(path, timers);
      source.start();
      source.close();
      writeFileSync(path, meshOf('b'));
      look(timers);
      assert.deepEqual(uids(), ['a']);
      assert.equal(timers.waiting, 0);
    }),
  );
  test(
    'is read because the kernel says that it changed, before anybody looks',
    withFolder(async (folder) => {
      const path = join(folder, 'mesh.yaml');
      const never = { cancel: () => {} };
      const timers: Timers = {
        after(delayMs, callback) {
          if (delayMs === LIMITS.localFilePollMs) return never;
          const timer = setTimeout(callback, delayMs);
          return { cancel: () => clearTimeout(timer) };
        },
      };
      writeFileSync(path, meshOf('a'));
      const { state, source, uids } = open(path, timers);
      source.start();
      const changed = new Promise((resolve) => state.onChange(resolve));
      // The watcher itself keeps no process alive.
      const alive = setInterval(() => {}, 1000);
      writeFileSync(`${path}.next`, meshOf('b'));
      renameSync(`${path}.next`, path);
      await changed;
      clearInterval(alive);
      assert.deepEqual(uids(), ['b']);
      source.close();
    }),
  );
});
