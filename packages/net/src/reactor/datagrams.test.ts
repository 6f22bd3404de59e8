import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'node:test';
import type { AmbitError } from '@ambit/base/errors';
import { bindDatagram } from '@ambit/platform/datagram';
import { closeDescriptor } from '@ambit/platform/socket';
import type { DatagramReceiver, DatagramSocket } from '../datagram.ts';
import { createReactor, ReactorDatagrams } from './index.ts';

/** Answers in capitals; throws on `fault`. */
class Shouter implements DatagramReceiver {
  socket: DatagramSocket | null = null;
  onDatagram(bytes: Uint8Array, offset: number, length: number, from: DatagramSocket['address']): void {
    const text = new TextDecoder().decode(bytes.subarray(offset, offset + length));
    if (text === 'fault') throw new Error(text);
    const answer = new TextEncoder().encode(text.toUpperCase());
    assert.ok(this.socket!.send(answer, 0, answer.length, from));
  }
  onError(error: AmbitError): void {
    assert.fail(error.message);
  }
}

async function withDatagrams(use: (datagrams: ReactorDatagrams, faults: unknown[]) => Promise<void>): Promise<void> {
  const reactor = createReactor();
  const faults: unknown[] = [];
  try {
    await use(new ReactorDatagrams(reactor, { onFault: (thrown) => faults.push(thrown) }), faults);
  } finally {
    await reactor.close();
  }
}

test('a node socket is answered, also after a handler threw', async () => {
  await withDatagrams(async (datagrams, faults) => {
    const shouter = new Shouter();
    shouter.socket = datagrams.bindDatagram({ ip: '127.0.0.1', port: 0 }, shouter);
    const client = createSocket('udp4');
    try {
      client.send('fault', shouter.socket.address.port, '127.0.0.1');
      for (const word of ['one', '', 'x'.repeat(9000)]) {
        client.send(word, shouter.socket.address.port, '127.0.0.1');
        const [answer] = await once(client, 'message');
        assert.equal(String(answer), word.toUpperCase());
      }
      assert.match(String(faults), /^Error: fault$/);
    } finally {
      client.close();
      shouter.socket.close();
      shouter.socket.close();
    }
    assert.equal(shouter.socket.send(Uint8Array.of(1), 0, 1, { ip: '127.0.0.1', port: 9 }), false);
  });
});

test('a connected socket is answered, and told when its peer has gone', async () => {
  await withDatagrams(async (datagrams) => {
    const shouter = new Shouter();
    // A descriptor that is handed over stays open when its socket closes.
    const fd = bindDatagram({ ip: '::1', port: 0 });
    shouter.socket = datagrams.bindDatagram({ ip: '::1', port: 0, fd }, shouter);
    const { port } = shouter.socket.address;
    const heard: string[] = [];
    let next = Promise.withResolvers<void>();
    const client = datagrams.connectDatagram(
      { ip: '::1', port },
      {
        onDatagram: (bytes, offset, length, from) => {
          heard.push(`${new TextDecoder().decode(bytes.subarray(offset, offset + length))} from ${from.port}`);
          next.resolve();
        },
        onError: (error) => {
          heard.push(error.message);
          next.resolve();
        },
      },
    );
    try {
      const word = new TextEncoder().encode('word');
      assert.ok(client.send(word, 0, 4, null));
      await next.promise;
      shouter.socket.close();
      closeDescriptor(fd);
      next = Promise.withResolvers();
      assert.ok(client.send(word, 0, 4, null));
      await next.promise;
      assert.deepEqual(heard, [`WORD from ${port}`, `connecting to [::1]:${port} failed: ECONNREFUSED`]);
    } finally {
      client.close();
    }
  });
});
