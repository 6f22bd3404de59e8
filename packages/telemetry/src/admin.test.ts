import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import test, { type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { silentLog } from '@ambit/base/log';
import { ADMIN_HOST_DEFAULT, adminHandler } from './admin.ts';
import { DecisionStore } from './decisions.ts';
import { type HttpHandler, listenHttp } from './http-server.ts';
import { LogFilter } from './log-filter.ts';
import { MetricRegistry } from './metrics.ts';
import { Readiness, readinessHandler } from './readiness.ts';
import { statsHandler } from './stats.ts';
import { AT_MS } from './telemetry.fixture.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  readonly text: string;
}

type Ask = (method: string, path: string, headers?: Record<string, string>) => Promise<Answer>;

/** Over a real socket; it closes with the test. */
async function serve(t: TestContext, handler: HttpHandler): Promise<Ask> {
  const server = await listenHttp({ component: 'test', host: ADMIN_HOST_DEFAULT, port: 0, handler, log: silentLog });
  t.after(() => server.close());
  return (method, path, headers = {}) =>
    new Promise((resolve, reject) => {
      const options = { host: server.host, port: server.port, method, path, headers, agent: false };
      const request = httpRequest(options, async (response) => {
        const bytes = Buffer.concat(await response.toArray());
        resolve({ status: response.statusCode!, headers: response.headers, bytes, text: String(bytes) });
      });
      request.on('error', reject);
      request.end();
    });
}

async function serveAdmin(t: TestContext, isLoopback = true) {
  const filter = LogFilter.parse('access=debug,info')!;
  const changes: string[] = [];
  const decisions = new DecisionStore();
  let quits = 0;
  const ask = await serve(
    t,
    adminHandler({
      configDump: async () => ({ workloads: [], config: { a: 1 } }),
      filter,
      onFilterChanged: (text) => changes.push(text),
      decisions,
      quit: async () => {
        quits += 1;
      },
      isLoopback,
    }),
  );
  return { ask, changes, decisions, quits: () => quits };
}

test('the admin port has its pages, and 404 for all else, pprof among it', async (t) => {
  const { ask } = await serveAdmin(t);
  const index = await ask('GET', '/');
  assert.equal(index.headers['content-type'], 'text/html; charset=utf-8');
  assert.match(index.text, /href="config_dump"/);
  const dump = await ask('GET', '/config_dump?x=1');
  assert.equal(dump.headers['content-type'], 'application/json');
  assert.equal(dump.text, '{\n  "workloads": [],\n  "config": {\n    "a": 1\n  }\n}');
  for (const path of ['/nope', '/debug/pprof/profile', '/debug/pprof/heap', '/decisionsx', '/decisions/a/b', '//[']) {
    assert.equal((await ask('GET', path)).status, path === '//[' ? 400 : 404, path);
  }
});

test('log levels are listed, added, reset and refused as by Istio ztunnel', async (t) => {
  const { ask, changes } = await serveAdmin(t);
  const steps: [string, number, string][] = [
    ['', 200, 'access=debug,info'],
    ['?level=debug', 200, 'access=debug,debug'],
    ['?level=access=warn,xds=debug', 200, 'access=warn,xds=debug,debug'],
    ['?level=access:warn', 400, 'Invalid level provided: access:warn\n'],
    ['?level=bogus', 400, 'Invalid level provided: bogus\n'],
    ['?level=&foo=1', 200, 'access=warn,xds=debug,debug'],
    ['?reset', 200, 'access=debug,info'],
    ['?reset&level=off', 200, 'access=debug,off'],
    ['?level=error&reset', 200, 'access=debug,error'],
  ];
  for (const [query, status, expected] of steps) {
    const answer = await ask('POST', `/logging${query}`);
    assert.equal(answer.status, status);
    assert.equal(answer.headers['content-type'], 'text/plain');
    if (status === 200) assert.equal(answer.text, `current log level is ${expected}\n`);
    else assert.ok(answer.text.startsWith(`${expected}\nusage: POST /logging\t`), answer.text);
  }
  assert.deepEqual(changes, [
    'access=debug,debug',
    'access=warn,xds=debug,debug',
    'access=debug,info',
    'access=debug,off',
    'access=debug,error',
  ]);
  const get = await ask('GET', '/logging?level=debug');
  assert.equal(get.status, 405);
  assert.match(get.text, /^Invalid HTTP method\n/);
  assert.equal(changes.length, 5);
});

test('quitquitquit is a POST and answers when it is done', async (t) => {
  const { ask, quits } = await serveAdmin(t);
  assert.equal((await ask('GET', '/quitquitquit')).status, 405);
  assert.equal(quits(), 0);
  const answer = await ask('POST', '/quitquitquit');
  assert.deepEqual([answer.status, answer.text, quits()], [200, 'shutdown now\n', 1]);
});

test('decisions are listed newest first, and one is told by its id, in words or in JSON', async (t) => {
  const { ask, decisions } = await serveAdmin(t);
  const json = { accept: 'application/json' };
  for (const id of ['old', 'new']) {
    decisions.keep({ id, atMs: AT_MS, verdict: 'deny', by: 'shop/p', short: `short ${id}`, long: `long ${id}\nmore` });
  }
  const at = '2026-01-02T03:04:05.678901Z';
  assert.equal((await ask('GET', '/decisions')).text, `new ${at} short new\nold ${at} short old\n`);
  assert.equal((await ask('GET', '/decisions/old')).text, `decision old at ${at}\nlong old\nmore\n`);
  assert.deepEqual(JSON.parse((await ask('GET', '/decisions/old', json)).text), {
    time: at,
    id: 'old',
    verdict: 'deny',
    by: 'shop/p',
    short: 'short old',
    long: 'long old\nmore',
  });
  const list = JSON.parse((await ask('GET', '/decisions', json)).text);
  assert.deepEqual([list.kept, list.evicted], [2, 0]);
  assert.deepEqual(list.decisions[0], { time: at, id: 'new', verdict: 'deny', by: 'shop/p', short: 'short new' });
  assert.equal((await ask('GET', '/decisions/never')).status, 404);
  assert.equal((await ask('POST', '/decisions')).status, 405);
});

test('a browser that a strange page or a strange name led here is refused before anything happens', async (t) => {
  const { ask, quits } = await serveAdmin(t);
  const refused: Record<string, string>[] = [
    { host: 'evil.example:15000' },
    { host: '127.0.0.1.evil.example' },
    { host: '10.0.0.1:15000' },
    { host: '127.0.0.1:15000', origin: 'http://evil.example' },
    { host: 'localhost:15000', origin: 'null' },
  ];
  for (const headers of refused) {
    assert.equal((await ask('POST', '/quitquitquit', headers)).status, 403, JSON.stringify(headers));
  }
  assert.equal(quits(), 0);
  const welcome: Record<string, string>[] = [
    { host: 'localhost:15000' },
    { host: '127.0.0.1' },
    { host: '[::1]:15000' },
    { host: 'localhost:8000', origin: 'http://localhost:8000' },
  ];
  for (const headers of welcome) assert.equal((await ask('GET', '/', headers)).status, 200, JSON.stringify(headers));
  // Where it was told to listen for others, they know it by other names.
  const open = await serveAdmin(t, false);
  assert.equal((await open.ask('GET', '/', { host: 'node1:15000' })).status, 200);
  assert.equal((await open.ask('GET', '/', { host: 'node1:15000', origin: 'http://evil.example' })).status, 403);
});

test('a handler that throws is a 500, and the server lives on', async (t) => {
  const ask = await serve(t, ({ path }) => {
    if (path === '/bad') throw new Error('broke');
    return { status: 204 };
  });
  assert.equal((await ask('GET', '/bad')).status, 500);
  assert.equal((await ask('GET', '/good')).status, 204);
});

test('readiness names what is pending, sorted, until nothing is', async (t) => {
  let ready = 0;
  const readiness = new Readiness(() => {
    ready += 1;
  });
  const ask = await serve(t, readinessHandler(readiness));
  const done = [readiness.begin('state manager'), readiness.begin('dns proxy'), readiness.begin('dns proxy')];
  const first = await ask('GET', '/healthz/ready');
  assert.deepEqual([first.status, first.text], [500, 'not ready, pending: dns proxy, state manager\n']);
  done[1]!();
  done[1]!();
  done[0]!();
  assert.equal((await ask('GET', '/healthz/ready')).text, 'not ready, pending: dns proxy\n');
  assert.equal(ready, 0);
  done[2]!();
  const last = await ask('GET', '/healthz/ready');
  assert.deepEqual([last.status, last.text, ready], [200, 'ready\n', 1]);
  assert.equal((await ask('POST', '/healthz/ready')).status, 405);
  assert.equal((await ask('GET', '/healthz')).status, 404);
});

test('metrics are collected, then served at both paths, compressed for those who ask', async (t) => {
  const registry = new MetricRegistry();
  const calls = registry.counter({ name: 'calls', help: 'Calls' });
  const ask = await serve(t, statsHandler({ registry, collect: () => calls.of().add(1) }));
  const first = await ask('GET', '/metrics');
  assert.equal(first.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(first.headers.vary, 'accept-encoding');
  assert.match(first.text, /^calls_total 1$/m);
  assert.ok(first.text.endsWith('\n# EOF\n'));
  const second = await ask('GET', '/stats/prometheus', {
    accept: 'application/openmetrics-text',
    'accept-encoding': 'br, gzip',
  });
  assert.equal(second.headers['content-type'], 'application/openmetrics-text;charset=utf-8;version=1.0.0');
  assert.equal(second.headers['content-encoding'], 'gzip');
  assert.match(String(gunzipSync(second.bytes)), /^calls_total 2$/m);
  const plain = await ask('GET', '/metrics', { 'accept-encoding': 'gzip;q=0' });
  assert.match(plain.text, /^calls_total 3$/m);
  assert.equal((await ask('GET', '/other')).status, 404);
});

test('a failing collection is a 500 and not the end of metrics', async (t) => {
  let fails = true;
  const ask = await serve(
    t,
    statsHandler({
      registry: new MetricRegistry(),
      collect: async () => {
        if (fails) throw new Error('no child answers');
      },
    }),
  );
  assert.equal((await ask('GET', '/metrics')).status, 500);
  fails = false;
  assert.equal((await ask('GET', '/metrics')).status, 200);
});

test('listening where somebody else listens fails with the reason', async (t) => {
  const options = { component: 'test', host: ADMIN_HOST_DEFAULT, handler: () => ({ status: 200 }), log: silentLog };
  const server = await listenHttp({ ...options, port: 0 });
  t.after(() => server.close());
  await assert.rejects(listenHttp({ ...options, port: server.port }), /EADDRINUSE/);
});
