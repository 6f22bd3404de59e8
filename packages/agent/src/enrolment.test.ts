import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { createReactor } from '@ambit/net/reactor';
import { connectRecords, type RecordLink } from '@ambit/net/records';
import { decodeZdsRequest, encodeZdsAck, encodeZdsHello } from '@ambit/wire/zds';
import { type FakeAgent, FakeKernel, fakeAgent, podToEnrol } from './enrolment.fixture.ts';
import { StateFile } from './state-file.ts';

const root = mkdtempSync(join(tmpdir(), 'ambit-enrolment-'));
const reactor = createReactor();
after(async () => {
  await reactor.close();
  rmSync(root, { recursive: true });
});

interface World {
  readonly kernel: FakeKernel;
  readonly directory: string;
  agent(options?: { mechanism?: 'nftables' | 'iptables'; podsMax?: number }): FakeAgent;
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(root, 'world-'));
  const kernel = new FakeKernel(join(directory, 'netns'));
  const agents: FakeAgent[] = [];
  try {
    const agent: World['agent'] = (options = {}) => {
      const made = fakeAgent({ reactor, kernel, directory, ...options });
      agents.push(made);
      return made;
    };
    await use({ kernel, directory, agent });
  } finally {
    for (const { enrolment } of agents) await enrolment.close();
  }
  assert.deepEqual(openNamespaces(directory), [], 'no namespace is left open');
}

function openNamespaces(directory: string): string[] {
  const prefix = join(directory, 'netns/');
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(prefix) ? [target.slice(prefix.length)] : [];
    } catch {
      return [];
    }
  });
}

/** A proxy that notes what it is told among what the kernel was asked. */
function connectProxy(path: string, calls: string[], answer: () => string = () => ''): RecordLink {
  const link = connectRecords(
    reactor,
    path,
    { recordMaxBytes: 1024, fdsMax: 1 },
    {
      onRecord: (bytes, fds) => {
        const request = decodeZdsRequest(bytes, fds.length);
        for (const fd of fds) closeSync(fd);
        calls.push('uid' in request ? `${request.kind} ${request.uid}` : request.kind);
        link.send(encodeZdsAck(answer()));
      },
      onEnd: () => {},
    },
  );
  link.send(encodeZdsHello());
  return link;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 5000, `${what} never came`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('the proxy is told before the rules stand and after they are gone', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, server, socketPath, stateFile } = agent();
    await enrolment.start([]);
    const proxy = connectProxy(socketPath, kernel.calls);
    await until(() => kernel.calls.length === 1, 'the snapshot');
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    assert.deepEqual(await enrolment.enrol(pod), { is: 'done' });
    assert.equal(server.hasTold('a'), true);
    assert.deepEqual(
      stateFile.recordsOf('a').map(({ path, mechanism }) => [path, mechanism]),
      [[pod.namespacePath, 'nftables']],
    );
    await enrolment.unenrol('a');
    await enrolment.unenrol('a');
    assert.deepEqual(kernel.calls, ['snapshot-sent', 'add a', 'install x nftables', 'remove x nftables', 'del a']);
    assert.deepEqual(stateFile.recordsOf('a'), []);
    assert.deepEqual([enrolment.counters.enrolled, enrolment.counters.unenrolled], [1, 1]);
    proxy.close();
  });
});

test('without a proxy a pod is captured all the same, and a proxy that comes is told', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, socketPath } = agent();
    await enrolment.start([]);
    const outcome = await enrolment.enrol(podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1'));
    assert.equal(outcome.is, 'untold');
    assert.ok(kernel.rules.has('x nftables'));
    const proxy = connectProxy(socketPath, kernel.calls);
    await until(() => kernel.calls.includes('snapshot-sent'), 'the snapshot');
    assert.deepEqual(kernel.calls, ['install x nftables', 'add a', 'snapshot-sent']);
    proxy.close();
  });
});

test('a pod that was enrolled and comes again is verified and stays captured, even if that fails', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, pods } = agent();
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await enrolment.enrol(pod);
    await enrolment.enrol(pod);
    kernel.failing.add('repair');
    await assert.rejects(enrolment.enrol(pod), /repair failed/);
    assert.deepEqual(kernel.calls, ['install x nftables', 'repair x nftables', 'repair x nftables']);
    assert.ok(pods.has('a') && kernel.rules.has('x nftables'));
  });
});

test('a pod that moved to another namespace leaves no rules in the old one', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, stateFile } = agent();
    await enrolment.enrol(podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1'));
    await enrolment.enrol(podToEnrol('a', kernel.addNamespace('y', '10.0.0.1'), '10.0.0.1'));
    assert.deepEqual([...kernel.rules], ['y nftables']);
    assert.equal(stateFile.recordsOf('a').length, 1);
  });
});

test('nothing is done in a namespace that is not surely the pod’s', async () => {
  await withWorld(async ({ kernel, agent, directory }) => {
    const { enrolment, pods } = agent();
    const x = kernel.addNamespace('x', '10.0.0.1');
    await assert.rejects(enrolment.enrol(podToEnrol('b', x, '10.0.0.2')), { code: 'POD_ADDRESS_MISMATCH' });
    await assert.rejects(enrolment.enrol(podToEnrol('b', join(directory, 'none'), '10.0.0.2')), {
      code: 'SYSTEM_CALL',
    });
    await enrolment.enrol(podToEnrol('a', x, '10.0.0.1'));
    await assert.rejects(enrolment.enrol(podToEnrol('b', x, '10.0.0.1')), { code: 'POD_NAMESPACE_TAKEN' });
    assert.deepEqual(kernel.calls, ['install x nftables']);
    assert.deepEqual(pods.uids(), ['a']);
    assert.equal(enrolment.counters.enrolFailures, 3);
  });
});

test('two pods that claim one namespace in the same instant: one of them gets it', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, pods } = agent();
    const x = kernel.addNamespace('x', '10.0.0.1');
    const results = await Promise.allSettled(['a', 'b'].map((uid) => enrolment.enrol(podToEnrol(uid, x, '10.0.0.1'))));
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.equal(pods.size, 1);
    assert.deepEqual(kernel.calls, ['install x nftables']);
  });
});

test('an enrolment whose rules fail leaves nothing: no rules, no word to the proxy, no record', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, pods, socketPath, stateFile } = agent();
    await enrolment.start([]);
    const proxy = connectProxy(socketPath, kernel.calls);
    await until(() => kernel.calls.length === 1, 'the snapshot');
    kernel.failing.add('install');
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await assert.rejects(enrolment.enrol(pod), /install failed/);
    assert.deepEqual(kernel.calls.slice(1), ['add a', 'install x nftables', 'remove x nftables', 'del a']);
    assert.equal(pods.size, 0);
    assert.deepEqual(stateFile.recordsOf('a'), []);
    proxy.close();
  });
});

test('a pod whose rules cannot be removed stays meshed, and the next attempt removes them', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, pods, stateFile } = agent();
    await enrolment.enrol(podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1'));
    kernel.failing.add('remove');
    await assert.rejects(enrolment.unenrol('a'), /remove failed/);
    assert.ok(pods.has('a') && stateFile.recordsOf('a').length === 1);
    kernel.failing.clear();
    await enrolment.unenrol('a');
    assert.deepEqual([...kernel.rules], []);
  });
});

test('the bound on pods is told', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment } = agent({ podsMax: 1 });
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await enrolment.enrol(pod);
    await enrolment.enrol(pod);
    const other = podToEnrol('b', kernel.addNamespace('y', '10.0.0.2'), '10.0.0.2');
    await assert.rejects(enrolment.enrol(other), { code: 'PODS_TOO_MANY' });
  });
});

test('rules that someone flushed are repaired and counted', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment } = agent();
    await enrolment.enrol(podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1'));
    await enrolment.verify('a');
    assert.equal(enrolment.counters.rulesRepaired, 0);
    kernel.rules.clear();
    await enrolment.verify('a');
    assert.equal(enrolment.counters.rulesRepaired, 1);
    assert.ok(kernel.rules.has('x nftables'));
    kernel.failing.add('repair');
    await enrolment.verify('a');
    assert.equal(enrolment.counters.verifyFailures, 1);
    await enrolment.verify('stranger');
  });
});

test('a proxy that refused a pod is asked again when its rules are looked at', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const { enrolment, server, socketPath } = agent();
    await enrolment.start([]);
    let answer = '';
    const proxy = connectProxy(socketPath, kernel.calls, () => answer);
    await until(() => kernel.calls.length === 1, 'the snapshot');
    answer = 'failure to start proxy : no';
    const outcome = await enrolment.enrol(podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1'));
    assert.deepEqual(outcome, { is: 'refused', error: answer });
    assert.equal(server.hasTold('a'), false);
    answer = '';
    await enrolment.verify('a');
    assert.equal(server.hasTold('a'), true);
    await enrolment.verify('a');
    assert.deepEqual(kernel.calls.slice(1), [
      'add a',
      'install x nftables',
      'repair x nftables',
      'add a',
      'repair x nftables',
    ]);
    proxy.close();
  });
});

test('after a crash the next agent takes over what is wanted, cleans what is not and forgets what is gone', async () => {
  await withWorld(async ({ kernel, agent, directory }) => {
    const first = agent();
    const wanted = ['a', 'b', 'c', 'd'].map((uid, i) =>
      podToEnrol(uid, kernel.addNamespace(`net-${uid}`, `10.0.0.${i}`), `10.0.0.${i}`),
    );
    await first.enrolment.start(wanted);
    await first.enrolment.close(); // leaves everything as a crash would
    assert.equal(kernel.rules.size, 4);
    kernel.rules.delete('net-b nftables'); // flushed while nobody looked
    const fresh = podToEnrol('e', kernel.addNamespace('net-e', '10.0.0.9'), '10.0.0.9');
    rmSync(join(directory, 'netns/net-d'));
    kernel.calls.length = 0;

    const second = agent();
    const [a, b] = wanted as [(typeof wanted)[0], (typeof wanted)[0]];
    const report = await second.enrolment.start([a, b, fresh]);
    assert.deepEqual(report.enrolled.toSorted(), ['a', 'b', 'e']);
    assert.deepEqual(kernel.calls.toSorted(), [
      'install net-e nftables',
      'remove net-c nftables',
      'repair net-a nftables',
      'repair net-b nftables',
    ]);
    assert.deepEqual([...kernel.rules].filter((key) => !key.startsWith('net-d')).toSorted(), [
      'net-a nftables',
      'net-b nftables',
      'net-e nftables',
    ]);
    assert.equal(second.enrolment.counters.cleaned, 1);
    const left = new StateFile(join(directory, 'enrolled.json')).load();
    assert.deepEqual(left.map(({ uid }) => uid).toSorted(), ['a', 'b', 'e']);
    const proxy = connectProxy(second.socketPath, kernel.calls);
    await until(() => kernel.calls.includes('snapshot-sent'), 'the snapshot');
    assert.deepEqual(kernel.calls.slice(4).toSorted(), ['add a', 'add b', 'add e', 'snapshot-sent']);
    proxy.close();
  });
});

test('a wanted pod that cannot be found is kept: its proxy runs on, and its rules go when it is un-enrolled', async () => {
  await withWorld(async ({ kernel, agent, directory }) => {
    const first = agent();
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await first.enrolment.start([pod]);
    await first.enrolment.close();
    kernel.calls.length = 0;
    const second = agent();
    const report = await second.enrolment.start([{ ...pod, namespacePath: join(directory, 'moved') }]);
    assert.deepEqual(
      report.failed.map(({ uid, error }) => [uid, error.code]),
      [['a', 'SYSTEM_CALL']],
    );
    const proxy = connectProxy(second.socketPath, kernel.calls);
    await until(() => kernel.calls.includes('snapshot-sent'), 'the snapshot');
    assert.deepEqual(kernel.calls, ['keep a', 'snapshot-sent']);
    await second.enrolment.unenrol('a');
    assert.deepEqual(kernel.calls.slice(2), ['remove x nftables', 'del a']);
    assert.deepEqual([...kernel.rules], []);
    proxy.close();
  });
});

test('rules of another mechanism go once the new ones stand, which are looked at again', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const first = agent({ mechanism: 'iptables' });
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await first.enrolment.start([pod]);
    await first.enrolment.close();
    kernel.calls.length = 0;
    const second = agent();
    await second.enrolment.start([pod]);
    assert.deepEqual(kernel.calls, ['install x nftables', 'remove x iptables', 'repair x nftables']);
    assert.deepEqual([...kernel.rules], ['x nftables']);
    assert.deepEqual(
      second.stateFile.recordsOf('a').map(({ mechanism }) => mechanism),
      ['nftables'],
    );
  });
});

test('rules of another mechanism stay where the new ones could not be put in place', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const first = agent({ mechanism: 'iptables' });
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await first.enrolment.start([pod]);
    await first.enrolment.close();
    kernel.failing.add('install');
    const second = agent();
    const report = await second.enrolment.start([pod]);
    assert.equal(report.failed.length, 1);
    assert.deepEqual([...kernel.rules], ['x iptables']);
    assert.deepEqual(
      second.stateFile.recordsOf('a').map(({ mechanism }) => mechanism),
      ['iptables'],
    );
  });
});

test('a pod that was captured and could not be looked at stays so, and later looks repair it', async () => {
  await withWorld(async ({ kernel, agent }) => {
    const first = agent();
    const pod = podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1');
    await first.enrolment.start([pod]);
    await first.enrolment.close();
    kernel.rules.clear();
    kernel.failing.add('repair');
    const second = agent();
    const report = await second.enrolment.start([pod]);
    assert.deepEqual(
      report.failed.map(({ uid }) => uid),
      ['a'],
    );
    kernel.failing.clear();
    await second.enrolment.verify('a');
    assert.deepEqual([...kernel.rules], ['x nftables']);
  });
});

test('a file of an earlier run that cannot be read does not keep the agent from starting', async () => {
  await withWorld(async ({ kernel, agent, directory }) => {
    writeFileSync(join(directory, 'enrolled.json'), '{');
    const { enrolment } = agent();
    const report = await enrolment.start([podToEnrol('a', kernel.addNamespace('x', '10.0.0.1'), '10.0.0.1')]);
    assert.deepEqual(report.enrolled, ['a']);
  });
});
