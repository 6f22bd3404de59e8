import assert from 'node:assert/strict';
import test from 'node:test';
import { type Minted, mint, mintRoot, mintWorkload } from './certificates.fixture.ts';
import { openssl } from './ffi.ts';
import { NativeTlsContext, type NativeTlsOptions, peerLeafDer, selectedAlpn, verifyFailure } from './openssl.ts';
import { shakeHands, type TlsPair, transfer } from './tls-pair.fixture.ts';

const DAY_MS = 86_400_000;
const BIO_CTRL_PENDING = 10;
const root = mintRoot();
const stranger = mintRoot('stranger');

function context(leaf: Minted | null, options: Partial<NativeTlsOptions> = {}): NativeTlsContext {
  return NativeTlsContext.create({
    certificateChainPem: leaf?.certificatePem,
    privateKeyPem: leaf?.privateKeyPem,
    rootsPem: root.certificatePem,
    alpn: 'h2',
    ...options,
  });
}

/** Makes the pair, looks at it, and frees everything. */
function meeting(client: NativeTlsContext, server: NativeTlsContext, look: (pair: TlsPair) => void): void {
  const pair = shakeHands(client, server);
  try {
    look(pair);
  } finally {
    pair.free();
    client.release();
    server.release();
  }
}

test('two workloads of one root meet, see each other’s leaf and ALPN, and exchange bytes', () => {
  const [a, b] = [mintWorkload(root, 'a'), mintWorkload(root, 'b')];
  meeting(context(a), context(b), ({ client, server }) => {
    assert.deepEqual([client.error, server.error], [null, null]);
    assert.deepEqual([client.done, server.done], [true, true]);
    assert.deepEqual(Buffer.from(peerLeafDer(client.ssl) ?? []), b.der);
    assert.deepEqual(Buffer.from(peerLeafDer(server.ssl) ?? []), a.der);
    assert.deepEqual([selectedAlpn(client.ssl), selectedAlpn(server.ssl)], ['h2', 'h2']);
    assert.equal(verifyFailure(client.ssl), null);
    assert.equal(openssl.SSL_get_version(client.ssl), 'TLSv1.3');
    assert.equal(transfer(client, server, 'question'), 'question');
    assert.equal(transfer(server, client, 'answer'), 'answer');
  });
});

test('a client that is not asked for a certificate shows none', () => {
  meeting(context(null), context(mintWorkload(root), { rootsPem: undefined }), ({ client, server }) => {
    assert.deepEqual([client.error, server.error], [null, null]);
    assert.equal(peerLeafDer(server.ssl), null);
    assert.notEqual(peerLeafDer(client.ssl), null);
  });
});

test('the chain is sent as given, and not completed from the roots', () => {
  const intermediate = mint({ name: 'intermediate', issuer: root, isAuthority: true });
  const leaf = mintWorkload(intermediate);
  const certificateChainPem = leaf.certificatePem + intermediate.certificatePem;
  const alone = context(leaf, { rootsPem: root.certificatePem + intermediate.certificatePem });
  meeting(context(mintWorkload(root)), alone, ({ client }) => {
    assert.equal(client.verify, 'unable to get local issuer certificate', 'the leaf alone does not do');
  });
  meeting(context(mintWorkload(root)), context(leaf, { certificateChainPem }), ({ client, server }) => {
    assert.deepEqual([client.error, server.error], [null, null]);
  });
});

interface Refusal {
  readonly title: string;
  readonly client: () => NativeTlsContext;
  readonly server: () => NativeTlsContext;
  readonly clientSees: RegExp;
  readonly serverSees: RegExp;
}

const good = () => context(mintWorkload(root));
const withUsage = (usage: 'serverAuth' | 'clientAuth' | 'codeSigning') =>
  context(mint({ name: 'odd', issuer: root, extendedUsages: [usage] }));
const dated = (fromDays: number, toDays: number) =>
  context(
    mint({
      name: 'dated',
      issuer: root,
      notBefore: new Date(Date.now() + fromDays * DAY_MS),
      notAfter: new Date(Date.now() + toDays * DAY_MS),
    }),
  );

const REFUSALS: readonly Refusal[] = [
  {
    title: 'a client without a certificate',
    client: () => context(null),
    server: good,
    clientSees: /alert certificate required/,
    serverSees: /peer did not return a certificate/,
  },
  {
    title: 'a client of another root',
    client: () => context(mintWorkload(stranger)),
    server: good,
    clientSees: /alert unknown ca/,
    serverSees: /certificate verify failed.*unable to get local issuer certificate/,
  },
  {
    title: 'a server of another root',
    client: good,
    server: () => context(mintWorkload(stranger)),
    clientSees: /certificate verify failed.*unable to get local issuer certificate/,
    serverSees: /alert unknown ca/,
  },
  {
    title: 'a root that only has the name of ours',
    client: good,
    server: () => context(mintWorkload(mintRoot('root'))),
    clientSees: /certificate verify failed.*certificate signature failure/,
    serverSees: /alert decrypt error/,
  },
  {
    title: 'a server whose certificate is for clients',
    client: good,
    server: () => withUsage('clientAuth'),
    clientSees: /certificate verify failed.*unsuitable certificate purpose/,
    serverSees: /alert unsupported certificate/,
  },
  {
    title: 'a client whose certificate is for servers',
    client: () => withUsage('serverAuth'),
    server: good,
    clientSees: /alert unsupported certificate/,
    serverSees: /certificate verify failed.*unsuitable certificate purpose/,
  },
  {
    title: 'a certificate for neither',
    client: () => withUsage('codeSigning'),
    server: good,
    clientSees: /alert unsupported certificate/,
    serverSees: /certificate verify failed.*unsuitable certificate purpose/,
  },
  {
    title: 'a server whose certificate expired',
    client: good,
    server: () => dated(-2, -1),
    clientSees: /certificate verify failed.*certificate has expired/,
    serverSees: /alert certificate expired/,
  },
  {
    title: 'a client whose certificate expired',
    client: () => dated(-2, -1),
    server: good,
    clientSees: /alert certificate expired/,
    serverSees: /certificate verify failed.*certificate has expired/,
  },
  {
    title: 'a client whose certificate is not valid yet',
    client: () => dated(1, 2),
    server: good,
    clientSees: /alert bad certificate/,
    serverSees: /certificate verify failed.*certificate is not yet valid/,
  },
  {
    title: 'a leaf issued by a workload, which is no authority',
    client: () => {
      const workload = mintWorkload(root);
      const forged = mintWorkload(workload, 'forged');
      return context(forged, { certificateChainPem: forged.certificatePem + workload.certificatePem });
    },
    server: good,
    clientSees: /alert/,
    serverSees: /certificate verify failed.*invalid CA certificate/,
  },
  {
    title: 'a client that offers another ALPN',
    client: () => context(mintWorkload(root), { alpn: 'http/1.1' }),
    server: good,
    clientSees: /alert no application protocol/,
    serverSees: /no application protocol/,
  },
];

for (const { title, client, server, clientSees, serverSees } of REFUSALS) {
  test(`refused: ${title}`, () => {
    meeting(client(), server(), (pair) => {
      const seen = (end: TlsPair['client']) => `${end.error} ${end.verify ?? ''}`;
      assert.match(seen(pair.client), clientSees);
      assert.match(seen(pair.server), serverSees);
    });
  });
}

test('several roots in one bundle are each trusted', () => {
  const rootsPem = `# comment\n${stranger.certificatePem}\n${root.certificatePem}`;
  for (const issuer of [root, stranger]) {
    meeting(context(mintWorkload(issuer), { rootsPem }), context(mintWorkload(root), { rootsPem }), (pair) => {
      assert.deepEqual([pair.client.error, pair.server.error], [null, null]);
    });
  }
});

test('an intermediate in the bundle is an anchor only when that is asked for', () => {
  const intermediate = mint({ name: 'intermediate', issuer: root, isAuthority: true });
  const leaf = mintWorkload(intermediate);
  const rootsPem = intermediate.certificatePem;
  meeting(context(leaf, { rootsPem }), context(leaf, { rootsPem }), ({ client }) => {
    assert.equal(client.verify, 'unable to get issuer certificate');
  });
  const asked = { rootsPem, trustIntermediates: true };
  meeting(context(leaf, asked), context(leaf, asked), ({ client, server }) => {
    assert.deepEqual([client.error, server.error], [null, null]);
  });
});

test('the first flight is small with the default groups and large with the post-quantum one, which works too', () => {
  const helloBytes = (groups?: string) => {
    const leaf = mintWorkload(root);
    const client = context(leaf, { groups });
    const ssl = openssl.SSL_new(client.address);
    const written = openssl.BIO_new(openssl.BIO_s_mem());
    openssl.SSL_set_bio(ssl, openssl.BIO_new(openssl.BIO_s_mem()), written);
    openssl.SSL_set_connect_state(ssl);
    openssl.ERR_clear_error();
    openssl.SSL_do_handshake(ssl);
    const length = openssl.BIO_ctrl(written, BIO_CTRL_PENDING, 0, 0);
    openssl.SSL_free(ssl);
    client.release();
    return length;
  };
  const [classic, quantum] = [helloBytes(), helloBytes('X25519MLKEM768')];
  assert.ok(classic > 100 && classic < 400, `classic ${classic}`);
  assert.ok(quantum > 1200, `post-quantum ${quantum}`);
  const options = { groups: 'X25519MLKEM768' };
  meeting(context(mintWorkload(root), options), context(mintWorkload(root), options), ({ client, server }) => {
    assert.deepEqual([client.error, server.error], [null, null]);
  });
});

test('sessions outlive their context’s release, and a released context is not used again', () => {
  const [client, server] = [good(), good()];
  const pair = shakeHands(client, server);
  client.retain();
  client.release();
  assert.ok(client.address > 0, 'still held once');
  client.release();
  server.release();
  assert.equal(transfer(pair.client, pair.server, 'after'), 'after');
  pair.free();
  assert.throws(() => client.address, /before its last release/);
  assert.throws(() => client.retain(), /before its last release/);
  assert.throws(() => client.release(), /as often as/);
});

test('an error left by one connection kills another unless the queue is cleared first (FFI rule 1)', () => {
  const pair = shakeHands(good(), good());
  const empty = openssl.BIO_new(openssl.BIO_s_mem());
  const queueOneError = () => assert.equal(openssl.PEM_read_bio_X509(empty, 0, 0, 0), 0);
  const [sslErrorSsl, sslErrorWantRead] = [1, 2];
  const readNothing = () => openssl.SSL_get_error(pair.client.ssl, openssl.SSL_read(pair.client.ssl, 0, 0));
  openssl.ERR_clear_error();
  queueOneError();
  const poisoned = readNothing();
  openssl.ERR_clear_error();
  const healthy = readNothing();
  assert.deepEqual({ poisoned, healthy }, { poisoned: sslErrorSsl, healthy: sslErrorWantRead });
  assert.equal(transfer(pair.server, pair.client, 'unharmed'), 'unharmed');
  openssl.BIO_free(empty);
  pair.free();
});
