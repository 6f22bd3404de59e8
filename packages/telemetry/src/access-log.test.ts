import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { AccessLog, type AccessPeers, type AccessResult } from './access-log.ts';
import { hostileText, lineOutput } from './telemetry.fixture.ts';

const PEERS: AccessPeers = {
  reporter: 'source',
  sourceAddress: '10.1.9.9:40312',
  sourceWorkload: 'web-7f-abc',
  sourceNamespace: 'shop',
  sourceIdentity: 'spiffe://cluster.local/ns/shop/sa/web',
  sourceCluster: 'Kubernetes',
  destinationAddress: '10.1.2.3:15008',
  hboneAddress: '10.1.2.3:8080',
  service: 'cart.shop.svc.cluster.local',
  destinationWorkload: 'cart-0',
  destinationNamespace: 'shop',
  destinationIdentity: 'spiffe://cluster.local/ns/shop/sa/cart',
  destinationCluster: 'Kubernetes',
};
const RESULT: AccessResult = { receivedBytes: 120, sentBytes: 4096, durationMs: 15.2, error: null, denial: null };
const HEAD = '2026-01-02T03:04:05.678901Z';
const FIELDS =
  'src.addr=10.1.9.9:40312 src.workload="web-7f-abc" src.namespace="shop" src.identity="spiffe://cluster.local/ns/shop/sa/web" src.cluster="Kubernetes" dst.addr=10.1.2.3:15008 dst.hbone_addr=10.1.2.3:8080 dst.service="cart.shop.svc.cluster.local" dst.workload="cart-0" dst.namespace="shop" dst.identity="spiffe://cluster.local/ns/shop/sa/cart" dst.cluster="Kubernetes" direction="outbound"';

/** What the log writes. */
function written(format: 'text' | 'json', act: (log: AccessLog) => void, filter = 'debug'): string[] {
  const output = lineOutput(format, filter);
  act(new AccessLog(output));
  return output.lines;
}

test('the text line of a connection is that of Istio ztunnel', () => {
  assert.deepEqual(
    written('text', (log) => log.complete(PEERS, RESULT)),
    [`${HEAD}\tinfo\taccess\tconnection complete\t${FIELDS} bytes_sent=120 bytes_recv=4096 duration="15ms"`],
  );
});

test('an opened connection is told at debug, without bytes and duration', () => {
  assert.deepEqual(
    written('text', (log) => log.opened(PEERS)),
    [`${HEAD}\tdebug\taccess\tconnection opened\t${FIELDS}`],
  );
});

test('a failed one is an error with its reason at the end', () => {
  const error = 'http status: 503 Service Unavailable';
  assert.deepEqual(
    written('text', (log) => log.complete(PEERS, { ...RESULT, error })),
    [
      `${HEAD}\terror\taccess\tconnection complete\t${FIELDS} bytes_sent=120 bytes_recv=4096 duration="15ms" error="${error}"`,
    ],
  );
});

test('a denied one also says which rule came nearest, and by which id to ask for the rest', () => {
  const error = 'connection closed due to policy rejection: allow policies exist, but none allowed';
  const denial = { reason: 'allow policies exist, but none allowed; nearest "shop/p" rules[0]', id: 'bcd2345678' };
  const [line] = written('text', (log) =>
    log.complete({ ...PEERS, reporter: 'destination' }, { ...RESULT, error, denial }),
  );
  assert.equal(
    line!.slice(line!.indexOf('direction=')),
    `direction="inbound" bytes_sent=4096 bytes_recv=120 duration="15ms" error="${error}" deny_reason="allow policies exist, but none allowed; nearest \\"shop/p\\" rules[0]" deny_id="bcd2345678"`,
  );
  const [withoutId] = written('text', (log) =>
    log.complete(PEERS, { ...RESULT, error, denial: { ...denial, id: null } }),
  );
  assert.match(withoutId!, / deny_reason="[^=]*"$/);
});

test('an early reject is a warning with four fields', () => {
  const reject = {
    reporter: 'destination',
    sourceAddress: '[::1]:4',
    destinationAddress: '10.0.0.1:15008',
    error: 'ip mismatch: a != b',
  } as const;
  assert.deepEqual(
    written('text', (log) => log.rejected(reject)),
    [
      `${HEAD}\twarn\taccess\tconnection failed\tsrc.addr=[::1]:4 dst.addr=10.0.0.1:15008 direction="inbound" error="ip mismatch: a != b"`,
    ],
  );
  assert.deepEqual(
    written('json', (log) => log.rejected(reject)),
    [
      `{"level":"warn","time":"${HEAD}","scope":"access","message":"connection failed","src.addr":"[::1]:4","dst.addr":"10.0.0.1:15008","direction":"inbound","error":"ip mismatch: a != b"}`,
    ],
  );
});

test('the JSON line has the same fields flat, numbers as numbers', () => {
  const [line] = written('json', (log) => log.complete({ ...PEERS, service: '' }, RESULT));
  assert.equal(
    line,
    `{"level":"info","time":"${HEAD}","scope":"access","message":"connection complete","src.addr":"10.1.9.9:40312","src.workload":"web-7f-abc","src.namespace":"shop","src.identity":"spiffe://cluster.local/ns/shop/sa/web","src.cluster":"Kubernetes","dst.addr":"10.1.2.3:15008","dst.hbone_addr":"10.1.2.3:8080","dst.workload":"cart-0","dst.namespace":"shop","dst.identity":"spiffe://cluster.local/ns/shop/sa/cart","dst.cluster":"Kubernetes","direction":"outbound","bytes_sent":120,"bytes_recv":4096,"duration":"15ms"}`,
  );
});

test('the filter decides for each of the four levels', () => {
  const all = (log: AccessLog): void => {
    log.opened(PEERS);
    log.complete(PEERS, RESULT);
    log.complete(PEERS, { ...RESULT, error: 'x' });
    log.rejected({ reporter: 'source', sourceAddress: 'a', destinationAddress: 'b', error: 'x' });
  };
  const table: [string, string[]][] = [
    ['access=debug', ['debug', 'info', 'error', 'warn']],
    ['info', ['info', 'error', 'warn']],
    ['access=warn,debug', ['error', 'warn']],
    ['access=error', ['error']],
    ['off', []],
  ];
  for (const [filter, expected] of table) {
    assert.deepEqual(
      written('text', all, filter).map((line) => line.split('\t')[1]),
      expected,
    );
  }
});

test('no value of a peer adds a line or a field', () => {
  const text = hostileText.filter((value) => value !== '');
  fc.assert(
    fc.property(text, text, text, (a, b, c) => {
      const peers = { ...PEERS, sourceWorkload: a, hboneAddress: b };
      const [line, ...more] = written('text', (log) => log.complete(peers, { ...RESULT, error: c }));
      assert.deepEqual(more, []);
      // Without everything quoted, the keys are left.
      const bare = line!.split('\t')[4]!.replace(/"(?:[^"\\]|\\.)*"/g, '');
      assert.deepEqual(
        bare.split(' ').map((field) => field.split('=')[0]),
        [
          ...FIELDS.replace(/"[^"]*"/g, '')
            .split(' ')
            .map((field) => field.split('=')[0]),
          'bytes_sent',
          'bytes_recv',
          'duration',
          'error',
        ],
      );
      assert.equal(line!.split('\t').length, 5);
    }),
  );
});
