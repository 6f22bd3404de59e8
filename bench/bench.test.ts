/** Runs the bench itself, quickly and without a mesh, and a proxy that loses a byte: speed is not looked at. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Children } from './children.ts';
import { TARGET_IP } from './limits.ts';
import type { Load, LoadRequest } from './load/request.ts';
import type { TargetPorts } from './load/target-protocol.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const BULK_UP: Load = { kind: 'bulk-up', streams: 1, bytes: 3_000_000, warmupBytes: 0 };
const BULK_DOWN: Load = { ...BULK_UP, kind: 'bulk-down' };

interface Output {
  readonly status: number;
  readonly stdout: string;
}

function bench(...args: string[]): Promise<Output> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: {} }, (error, stdout) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout });
    });
  });
}

test('every load gives its figures without a mesh, with all bytes verified', async () => {
  const { status, stdout } = await bench('--quick', '--subjects', 'no-mesh', '-o', 'json');
  assert.equal(status, 0);
  const { figures } = JSON.parse(stdout);
  for (const load of ['bulk-up-1', 'bulk-up-8', 'bulk-down-1', 'bulk-down-8']) {
    assert.ok(figures[load]['no-mesh'].gbitPerSecond.median > 0, load);
  }
  for (const load of ['rr-1', 'rr-32', 'crr-1', 'crr-16']) {
    const { perSecond, p50Us, p99Us } = figures[load]['no-mesh'];
    assert.ok(perSecond.median > 0 && p50Us.median > 0 && p99Us.median >= p50Us.median, load);
  }
});

test('a peer that is not there is named with what to set, and never as a number', async () => {
  const { status, stdout } = await bench('--quick', '--subjects', 'ztunnel', '--only', 'rr-1');
  assert.equal(status, 0);
  assert.match(stdout, /ztunnel: not run: set ZTUNNEL_BIN/);
  assert.doesNotMatch(stdout, /per s/);
});

test('a name that does not exist ends in one sentence', async () => {
  assert.equal((await bench('--only', 'nothing')).status, 1);
  assert.equal((await bench('--subjects', 'nothing')).status, 1);
});

test('an interrupted run leaves no process behind', async () => {
  const main = spawn(process.execPath, [MAIN, '--subjects', 'no-mesh', '--only', 'rr-1'], {
    env: {},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => main.on('exit', resolve));
  await new Promise<void>((resolve) => {
    main.stderr.on('data', (text: Buffer) => {
      if (text.includes('round 1')) resolve();
    });
  });
  const started = childrenOf(main.pid as number);
  assert.ok(started.length > 0);
  main.kill('SIGINT');
  assert.equal(await exited, 130);
  const deadline = performance.now() + 5000;
  while (started.some(isAlive)) {
    assert.ok(performance.now() < deadline, 'children of the bench outlived it by 5 s');
    await sleep(20);
  }
});

test('a proxy that loses, changes or swallows bytes fails the load instead of giving a figure', async () => {
  const children = new Children();
  try {
    const server = children.start(process.execPath, [join(import.meta.dirname, 'load/server.ts'), TARGET_IP]);
    const targetPorts = JSON.parse(await server.line(10_000)) as TargetPorts;
    const run = async (load: Load, harm: Harm): Promise<string> => {
      const proxy = await socksProxy(harm);
      const { port } = proxy.address() as { port: number };
      const entry = { ip: '127.0.0.1', port };
      const request: LoadRequest = { load, targetIp: TARGET_IP, targetPorts, entry, subjectPids: [], loadPids: [] };
      const client = children.start(process.execPath, [
        join(import.meta.dirname, 'load/client.ts'),
        JSON.stringify(request),
      ]);
      const line = await client.line(10_000);
      proxy.close();
      return line;
    };
    const unharmed: Harm = (chunk) => chunk;
    assert.match(await run(BULK_UP, unharmed), /"gbitPerSecond"/);
    assert.match(await run(BULK_DOWN, unharmed), /"gbitPerSecond"/);
    assert.match(
      await run(
        BULK_UP,
        once((chunk) => chunk.subarray(1)),
      ),
      /2999999 of 3000000 bytes/,
    );
    assert.match(
      await run(
        BULK_DOWN,
        once((chunk) => chunk.subarray(1)),
      ),
      /changed or out of order/,
    );
    const doubled = once((chunk) => Buffer.concat([chunk.subarray(0, 1), chunk.subarray(0, -1)]));
    assert.match(await run(BULK_UP, doubled), /changed or out of order/);
    const rr: Load = { kind: 'rr', connections: 1, durationMs: 200, warmupMs: 50 };
    assert.match(
      await run(
        rr,
        once((chunk) => chunk.toReversed() as typeof chunk),
      ),
      /differs from its request/,
    );
  } finally {
    children.clean();
  }
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

function isAlive(pid: number): boolean {
  // A zombie that nobody has waited for yet has ended.
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** What a bad proxy does to a chunk, in either direction. */
type Harm = (chunk: Buffer) => Buffer;

/** Harms the first chunk that is large enough to be data and no control message of the bench. */
function once(harm: Harm): Harm {
  let done = false;
  return (chunk) => {
    if (done || chunk.length < 1024) return chunk;
    done = true;
    return harm(chunk);
  };
}

function socksProxy(harm: Harm): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on('error', () => {});
    client.once('data', () => {
      client.write(Uint8Array.of(5, 0));
      client.once('data', (request: Buffer) => {
        const target = new Socket({ allowHalfOpen: true });
        target.on('error', () => client.destroy());
        target.connect({ host: [...request.subarray(4, 8)].join('.'), port: request.readUInt16BE(8) }, () => {
          client.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
          carry(client, target, harm);
          carry(target, client, harm);
        });
      });
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function carry(from: Socket, to: Socket, harm: Harm): void {
  from.on('data', (chunk: Buffer) => {
    if (!to.write(harm(chunk))) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
}
