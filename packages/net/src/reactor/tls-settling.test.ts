/** What a connection frees once its handshake is past must not take anything with it that is still to be sent. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openssl } from '@ambit/platform/ffi';
import { NativeTlsContext } from '@ambit/platform/openssl';
import { Region } from '@ambit/platform/region';
import { closeDescriptor, connectSocket, openSocket } from '@ambit/platform/socket';
import { CLIENT_IDENTITY, materialFor, SERVER_IDENTITY } from '@ambit/testkit/authority';
import type { Connection } from '../engine.ts';
import { createReactor, type Reactor } from './index.ts';
import { SETTLE_MS, SWEEP_MS } from './limits.ts';

const LOOPBACK = '127.0.0.1';
const SSL_KEY_UPDATE_REQUESTED = 1;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_ZERO_RETURN = 6;
/** More than a connection's own write buffer holds, so that it borrows one. */
const LARGE_BYTES = 100_000;
const scratch = Region.map(LARGE_BYTES);

/** OpenSSL's own client on a socket: it can do what the reactor never does by itself. */
class RawClient {
  readonly ssl: number;
  readonly #fd: number;

  constructor(port: number, context: NativeTlsContext) {
    this.#fd = openSocket({ family: 4, type: 'stream' });
    connectSocket(this.#fd, LOOPBACK, port);
    this.ssl = openssl.SSL_new(context.address);
    const bio = openssl.BIO_new_socket(this.#fd, 0);
    openssl.SSL_set_bio(this.ssl, bio, bio);
    openssl.SSL_set_connect_state(this.ssl);
  }

  async handshake(): Promise<void> {
    await this.#until(() => openssl.SSL_do_handshake(this.ssl));
  }

  write(): void {
    openssl.ERR_clear_error();
    assert.equal(openssl.SSL_write(this.ssl, scratch.address, 1), 1);
  }

  /** The error that ended it, 0 if all came. */
  async read(bytes: number): Promise<number> {
    for (let left = bytes; left > 0; ) {
      const count = await this.#until(() => openssl.SSL_read(this.ssl, scratch.address, LARGE_BYTES));
      if (count <= 0) return openssl.SSL_get_error(this.ssl, count);
      left -= count;
    }
    return 0;
  }

  close(): void {
    openssl.SSL_free(this.ssl);
    closeDescriptor(this.#fd);
  }

  async #until(step: () => number): Promise<number> {
    for (;;) {
      openssl.ERR_clear_error();
      const result = step();
      if (result > 0 || openssl.SSL_get_error(this.ssl, result) !== SSL_ERROR_WANT_READ) return result;
      await sleep(1);
    }
  }
}

/** The server gives each connection to `serve`, and answers each read with `answerBytes`. */
async function withClient(
  answerBytes: number,
  serve: (reactor: Reactor, connection: Connection) => void,
  look: (client: RawClient) => Promise<void>,
): Promise<void> {
  const reactor = createReactor();
  const answer = new Uint8Array(answerBytes);
  const tls = reactor.tlsContext(await materialFor(SERVER_IDENTITY));
  const listener = reactor.listen({ ip: LOOPBACK, port: 0, tls }, (connection) => {
    connection.receive({
      creditBytes: () => 65_536,
      onData: () => connection.write(answer, 0, answer.length),
      onEnd: () => {},
      onWritable: () => {},
      onClose: () => {},
    });
    serve(reactor, connection);
  });
  const context = NativeTlsContext.create(await materialFor(CLIENT_IDENTITY));
  const client = new RawClient(listener.address.port, context);
  try {
    await client.handshake();
    await look(client);
  } finally {
    client.close();
    context.release();
    await reactor.close();
  }
}

const EXCHANGES = [
  { buffer: 'its own', answerBytes: 100, waitMs: 2 * SETTLE_MS },
  { buffer: 'a borrowed one', answerBytes: LARGE_BYTES, waitMs: 2.2 * SWEEP_MS },
];

for (const { buffer, answerBytes, waitMs } of EXCHANGES) {
  test(`a key update is answered although the write buffer, ${buffer}, is exchanged meanwhile`, async () => {
    await withClient(
      answerBytes,
      () => {},
      async (client) => {
        for (const pauseMs of [0, waitMs, 0]) {
          assert.equal(openssl.SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
          assert.equal(openssl.SSL_do_handshake(client.ssl), 1);
          await sleep(pauseMs);
          client.write();
          assert.equal(await client.read(answerBytes), 0);
        }
      },
    );
  });
}

test('a connection that ends in the moment it settles still says so', async () => {
  await withClient(
    100,
    (reactor, connection) => {
      reactor.after(SETTLE_MS / 2, () => connection.end());
      const startMs = performance.now();
      while (performance.now() < startMs + 2 * SETTLE_MS); // both are due in one turn, the end first
    },
    async (client) => assert.equal(await client.read(1), SSL_ERROR_ZERO_RETURN),
  );
});
