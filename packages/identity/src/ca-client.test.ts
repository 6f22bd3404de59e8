import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { wallClock } from '@ambit/base/clock';
import { silentLog } from '@ambit/base/log';
import { CaClient, type CaClientOptions } from './ca-client.ts';
import { type Answer, type CaServer, nameIn, startCaServer } from './ca-server.fixture.ts';
import { createSigningRequest } from './csr.ts';
import { LocalAuthority } from './local-authority.ts';
import type { After } from './timers.ts';

const IDENTITY = 'spiffe://cluster.local/ns/default/sa/web';
const OTHER = 'spiffe://cluster.local/ns/default/sa/other';

let authority: LocalAuthority;
let folder: string;
let server: CaServer;
let answer: Answer;

before(async () => {
  authority = await LocalAuthority.create({ nowMs: () => Date.now(), intermediate: true });
  folder = mkdtempSync(join(tmpdir(), 'ambit-ca-client-'));
  server = await startCaServer((request) => answer(request));
});

after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** As istiod: leaf, intermediates, and the bundle of roots last. */
const signed =
  (identity: string, roots = () => authority.rootsPem): Answer =>
  async ({ csr }) => {
    const { certificateChainPem } = await authority.sign(csr, identity, { ttlMs: 3_600_000 });
    return [...certificateChainPem.split(/(?<=-----END CERTIFICATE-----)\n/).filter((pem) => pem !== ''), roots()];
  };

const nodeTimers: After = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  return { cancel: () => clearTimeout(timer) };
};

async function withClient<T>(
  change: Partial<CaClientOptions>,
  use: (client: CaClient) => Promise<T>,
  timers = nodeTimers,
): Promise<T> {
  const client = new CaClient(
    {
      address: `https://localhost:${server.port}`,
      roots: { is: 'inline', pem: server.rootsPem },
      token: { is: 'literal', token: 'secret' },
      clusterId: 'c1',
      mode: 'shared',
      ttlMs: 86_400_000,
      ...change,
    },
    { after: timers, log: silentLog, clock: wallClock },
  );
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

const fetchOnce = (change: Partial<CaClientOptions> = {}) =>
  withClient(change, (client) => client.fetch(IDENTITY, new AbortController().signal));

describe('fetch certificate', () => {
  test('the answer becomes leaf and intermediates, the roots apart, the key its own, the dates the leaf’s', async () => {
    const second = await LocalAuthority.create({ nowMs: () => Date.now() });
    answer = signed(IDENTITY, () => `${authority.rootsPem}${second.rootsPem}`);
    const { material, ...certificate } = await fetchOnce();
    const leaf = new X509Certificate(certificate.leafDer);
    assert.equal(leaf.subjectAltName, `URI:${IDENTITY}`);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(material.privateKeyPem)));
    assert.equal(certificate.identity, IDENTITY);
    assert.equal(certificate.notAfterMs, leaf.validToDate.getTime());
    assert.equal(certificate.notBeforeMs, leaf.validFromDate.getTime());
    assert.equal(certificate.serialNumber, leaf.serialNumber);
    assert.equal(material.certificateChainPem.match(/BEGIN CERTIFICATE/g)?.length, 2);
    assert.equal(new X509Certificate(material.certificateChainPem).fingerprint256, leaf.fingerprint256);
    assert.equal(material.rootsPem, `${authority.rootsPem}${second.rootsPem}`);
    assert.equal(material.alpn, 'h2');
  });

  test('shared mode names the identity it speaks for; dedicated mode does not', async () => {
    answer = signed(IDENTITY);
    await fetchOnce();
    const shared = server.seen.at(-1);
    assert.deepEqual(shared?.metadata, { ImpersonatedIdentity: IDENTITY });
    assert.equal(shared?.validitySeconds, 86_400n);
    assert.equal(nameIn(shared?.csr ?? ''), IDENTITY);
    await fetchOnce({ mode: 'dedicated', ttlMs: 90_500 });
    assert.equal(server.seen.at(-1)?.metadata, undefined);
    assert.equal(server.seen.at(-1)?.validitySeconds, 90n);
  });

  test('token, cluster and further headers go with each call, the token read anew and not trimmed', async () => {
    answer = signed(IDENTITY);
    const path = join(folder, 'token');
    writeFileSync(path, 'first');
    const headersOf = (): unknown[] =>
      ['authorization', 'clusterid', 'x-tenant'].map((name) => server.seen.at(-1)?.headers.get(name)[0]);
    await withClient({ token: { is: 'file', path }, headers: { 'X-Tenant': 'blue' } }, async (client) => {
      await client.fetch(IDENTITY, new AbortController().signal);
      assert.deepEqual(headersOf(), ['Bearer first', 'c1', 'blue']);
      writeFileSync(path, 'second');
      await client.fetch(IDENTITY, new AbortController().signal);
      assert.deepEqual(headersOf(), ['Bearer second', 'c1', 'blue']);
      for (const [text, message] of [
        ['', /is empty/],
        ['third\n', /line end/],
        ['fourth ', /space/],
      ] as const) {
        writeFileSync(path, text);
        await assert.rejects(client.fetch(IDENTITY, new AbortController().signal), {
          code: 'TOKEN_UNREADABLE',
          message,
        });
      }
    });
    await fetchOnce({ token: null });
    assert.deepEqual(headersOf(), [undefined, undefined, undefined]);
  });

  test('without a token file there is an error and no call', async () => {
    const seen = server.seen.length;
    await assert.rejects(fetchOnce({ token: { is: 'file', path: join(folder, 'none') } }), {
      code: 'TOKEN_UNREADABLE',
    });
    assert.equal(server.seen.length, seen);
  });
});

describe('answers that are not taken', () => {
  const refused: [string, () => Answer, { code: string; message: RegExp }][] = [
    ['empty chain', () => async () => [], { code: 'CA_RESPONSE_INVALID', message: /empty chain/ }],
    [
      'a chain without a root',
      () => async (request) => ((await signed(IDENTITY)(request)) as string[]).slice(0, 1),
      { code: 'CA_RESPONSE_INVALID', message: /without a root/ },
    ],
    ['text that is no certificate', () => async () => ['a', 'b'], { code: 'CA_RESPONSE_INVALID', message: /no cert/ }],
    ['wrong identity', () => signed(OTHER), { code: 'CA_IDENTITY_MISMATCH', message: new RegExp(OTHER) }],
    [
      'the right identity only in second place',
      () => async (request) => {
        const { certificateChainPem } = await authority.sign(request.csr, OTHER, { extraSans: [IDENTITY] });
        return [certificateChainPem, authority.rootsPem];
      },
      { code: 'CA_IDENTITY_MISMATCH', message: new RegExp(OTHER) },
    ],
    [
      'a certificate for another key',
      () => async () => {
        const { csrPem } = await createSigningRequest(IDENTITY);
        return [(await authority.sign(csrPem, IDENTITY)).certificateChainPem, authority.rootsPem];
      },
      { code: 'CA_RESPONSE_INVALID', message: /another key/ },
    ],
    [
      'a refusal',
      () => async () => new Error('not on this node'),
      { code: 'CA_CALL_FAILED', message: /UNAUTHENTICATED: not on this node/ },
    ],
  ];
  for (const [name, make, expected] of refused) {
    test(name, async () => {
      answer = make();
      await assert.rejects(fetchOnce(), expected);
    });
  }

  test('dedicated mode takes whatever identity the CA gives to its token', async () => {
    answer = signed(OTHER);
    const { leafDer } = await fetchOnce({ mode: 'dedicated' });
    assert.equal(new X509Certificate(leafDer).subjectAltName, `URI:${OTHER}`);
  });
});

describe('the way to the CA', () => {
  test('a CA that does not answer is given up at the deadline, or when nobody waits any longer', async () => {
    answer = async () => null;
    await assert.rejects(fetchOnce({ callTimeoutMs: 100 }), { code: 'CA_CALL_FAILED', message: /DEADLINE_EXCEEDED/ });
    await withClient({}, async (client) => {
      const abort = new AbortController();
      const call = client.fetch(IDENTITY, abort.signal);
      setTimeout(() => abort.abort(), 50);
      await assert.rejects(call, { code: 'CA_CALL_FAILED', message: /CANCELLED/ });
    });
  });

  test('a server that another root signed, or for another host, is refused; an alternative host name is taken', async () => {
    answer = signed(IDENTITY);
    const pem = authority.rootsPem;
    await assert.rejects(fetchOnce({ roots: { is: 'inline', pem } }), { code: 'CA_CALL_FAILED' });
    const elsewhere = await startCaServer(signed(IDENTITY), { hostname: 'istiod.istio-system.svc' });
    try {
      const address = `https://localhost:${elsewhere.port}`;
      const roots = { is: 'inline', pem: elsewhere.rootsPem } as const;
      await assert.rejects(fetchOnce({ address, roots }), { code: 'CA_CALL_FAILED', message: /altnames/ });
      await fetchOnce({ address, roots, alternativeHostname: 'istiod.istio-system.svc' });
      assert.equal(elsewhere.seen.length, 1);
    } finally {
      elsewhere.close();
    }
  });

  test('only https is spoken', async () => {
    for (const address of ['http://localhost:1', 'localhost:15012', 'https://localhost:1/path', '']) {
      await assert.rejects(fetchOnce({ address }), { code: 'CONTROL_PLANE_ADDRESS' });
    }
  });

  test('root reload: a new file is used by the next call, a broken one leaves the former in use', async () => {
    answer = signed(IDENTITY);
    // As Kubernetes does it: the file is a link into a directory that is itself a link, which is swapped.
    const volume = mkdtempSync(join(folder, 'volume-'));
    const swap = (pem: string): void => {
      const data = mkdtempSync(join(volume, '..data-'));
      writeFileSync(join(data, 'root-cert.pem'), pem);
      symlinkSync(data, join(volume, '..next'));
      renameSync(join(volume, '..next'), join(volume, '..data'));
    };
    swap(server.rootsPem);
    const path = join(volume, 'root-cert.pem');
    symlinkSync(join('..data', 'root-cert.pem'), path);
    const timers = new HeldTimers();
    const use = async (client: CaClient): Promise<void> => {
      const fetch = () => client.fetch(IDENTITY, new AbortController().signal);
      await fetch();
      swap(authority.rootsPem);
      await fetch();
      await timers.fire(2000);
      await assert.rejects(fetch(), { code: 'CA_CALL_FAILED' });
      swap(server.rootsPem);
      await timers.fire(2000);
      await fetch();
      swap('broken');
      await timers.fire(2000);
      await fetch();
      // What could not be read is looked at again by the next call, without another sign.
      swap(authority.rootsPem);
      await assert.rejects(fetch(), { code: 'CA_CALL_FAILED' });
    };
    await withClient({ roots: { is: 'file', path } }, use, timers.after);
  });

  test('a root file that is missing at first is found by a later call', async () => {
    answer = signed(IDENTITY);
    const path = join(mkdtempSync(join(folder, 'late-')), 'root.pem');
    await withClient({ roots: { is: 'file', path } }, async (client) => {
      await assert.rejects(client.fetch(IDENTITY, new AbortController().signal), { code: 'ROOTS_UNREADABLE' });
      writeFileSync(path, server.rootsPem);
      await client.fetch(IDENTITY, new AbortController().signal);
    });
  });
});

/** Timers that run when the test says, once the file system has told of its change. */
class HeldTimers {
  readonly #held: { delayMs: number; callback: () => void }[] = [];
  readonly after: After = (delayMs, callback) => {
    const timer = { delayMs, callback };
    this.#held.push(timer);
    return { cancel: () => this.#held.splice(this.#held.indexOf(timer), 1) };
  };

  async fire(delayMs: number): Promise<void> {
    for (;;) {
      const i = this.#held.findIndex((timer) => timer.delayMs === delayMs);
      if (i !== -1) return this.#held.splice(i, 1)[0]?.callback();
      await sleep(5);
    }
  }
}
