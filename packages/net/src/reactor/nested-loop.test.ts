import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { createReactor, type Reactor } from './index.ts';

function reactorFor(t: TestContext): Reactor {
  const reactor = createReactor();
  t.after(() => reactor.close());
  return reactor;
}

test('promises, timers, servers and fetch of Node go on while the reactor runs', async (t) => {
  reactorFor(t);
  const server = http.createServer((_request, response) => response.end('ok'));
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (let call = 0; call < 20; call += 1) assert.equal(await (await fetch(url)).text(), 'ok');
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    setTimeout(() => order.push('20 ms'), 20);
    setTimeout(() => resolve(), 40);
    setImmediate(() => order.push('immediate'));
    queueMicrotask(() => order.push('microtask'));
  });
  assert.deepEqual(order, ['microtask', 'immediate', '20 ms']);
});

test('signals and child processes reach the process while the reactor sleeps', async (t) => {
  reactorFor(t);
  const signalled = once(process, 'SIGHUP');
  setTimeout(() => process.kill(process.pid, 'SIGHUP'), 5);
  await signalled;
  const child = spawn(process.execPath, ['-e', 'process.exit(7)'], { stdio: 'ignore' });
  assert.deepEqual((await once(child, 'exit'))[0], 7);
});

test('a promise that a callback resolves continues although nothing else happens', async (t) => {
  const reactor = reactorFor(t);
  await new Promise<void>((resolve) => reactor.after(5, resolve));
  const listener = reactor.listen({ ip: '127.0.0.1', port: 0 }, (connection) => connection.receive(quiet(() => {})));
  for (let round = 0; round < 5; round += 1) {
    const connection = await new Promise<{ end(): void }>((resolve, reject) => {
      reactor.connect(
        { ip: '127.0.0.1', port: listener.address.port },
        {
          onOpen(opened) {
            opened.receive(quiet(() => {}));
            resolve(opened);
          },
          onFail: reject,
        },
      );
    });
    connection.end();
  }
});

test('timers of the reactor fire in order, not early, and not when cancelled', async (t) => {
  const reactor = reactorFor(t);
  const fired: number[] = [];
  const start = reactor.nowMs();
  const cancelled = reactor.after(10, () => fired.push(-1));
  await new Promise<void>((resolve) => {
    for (const delayMs of [30, 1, 20]) {
      reactor.after(delayMs, () => {
        assert.ok(reactor.nowMs() - start >= delayMs, `the timer of ${delayMs} ms is not early`);
        fired.push(delayMs);
        if (delayMs === 30) resolve();
      });
    }
    cancelled.cancel();
  });
  assert.deepEqual(fired, [1, 20, 30]);
});

test('a timer that throws is counted and does not stop the others', async (t) => {
  const reactor = reactorFor(t);
  reactor.after(1, () => {
    throw new Error('on purpose');
  });
  await new Promise<void>((resolve) => reactor.after(5, resolve));
  assert.equal(reactor.counters.handlerFaults, 1);
});

test('who dials again at once what fails at once does not hold up the others', async (t) => {
  const reactor = reactorFor(t);
  let dialling = true;
  let failures = 0;
  const endMs = performance.now() + 2000;
  const dial = (): void => {
    if (!dialling || performance.now() > endMs) return;
    // The broadcast address: connect(2) itself refuses it.
    reactor.connect(
      { ip: '255.255.255.255', port: 1 },
      {
        onOpen: () => assert.fail('nobody is there'),
        onFail: () => {
          failures += 1;
          dial();
        },
      },
    );
  };
  dial();
  await new Promise<void>((resolve) => setTimeout(resolve, 20));
  dialling = false;
  assert.ok(failures > 16, 'it failed at once each time');
  assert.ok(performance.now() < endMs, 'the timer fired meanwhile');
});

test('a closed reactor lets the process exit', async () => {
  const source = `
    const { createReactor } = await import(${JSON.stringify(import.meta.resolve('./index.ts'))});
    const reactor = createReactor();
    reactor.listen({ ip: '127.0.0.1', port: 0 }, () => {});
    setTimeout(() => reactor.close(), 20);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'inherit' });
  const deadline = setTimeout(() => child.kill('SIGKILL'), 10_000);
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  clearTimeout(deadline);
});

function quiet(onClose: () => void) {
  return { creditBytes: () => 65_536, onData() {}, onEnd() {}, onWritable() {}, onClose };
}
