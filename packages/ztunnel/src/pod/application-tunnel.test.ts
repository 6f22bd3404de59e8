import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import type { Connection, Receiver } from '@ambit/net/engine';
import { encodeProxyHeader } from '@ambit/wire/proxy-v2';
import { service } from '../state/mesh.fixture.ts';
import { bytes, PodWorld } from './pod-world.fixture.ts';

describe('an application tunnel of PROXY kind', () => {
  const tunnel = { applicationTunnel: { protocol: 1, port: 9000 } } as const;

  /** What the application is sent, in order. */
  async function sent(authority: string, local: boolean): Promise<{ bytes: string; from: string; peerPort: number }> {
    const world = new PodWorld();
    const options = { localhostApplicationTunnel: local };
    const api = await world.pod('api', '10.0.0.2', { workload: tunnel, options });
    world.add(service('shop/cart.shop', { vips: ['2001:db8::1', '10.1.0.1', 'east|10.2.0.1'] }));
    world.add(service('shop/bare.shop'));
    world.ready();
    const received: Collector[] = [];
    api.engine.listen({ ip: local ? '127.0.0.1' : '10.0.0.2', port: 9000 }, (connection) => {
      received.push(new Collector(connection));
    });
    const peer = await world.peer('peer', '10.0.0.9');
    const opening = peer.connect(api, { authority }, bytes(5));
    world.pass();
    const [collector] = received;
    const peerPort = api.observer.told[0]?.facts.client.port ?? 0;
    if (collector === undefined) throw opening.error ?? new Error('nothing arrived');
    const result = { bytes: collector.bytes.toString('hex'), from: collector.from, peerPort };
    await world.stop();
    return result;
  }

  test('gets the header before the bytes, on loopback from loopback', async () => {
    const { bytes: got, from, peerPort } = await sent('10.0.0.77:80', true);
    const header = encodeProxyHeader({
      source: { ip: '10.0.0.9', port: peerPort },
      destination: { ip: '10.0.0.77', port: 80 },
      identity: 'spiffe://cluster.local/ns/shop/sa/peer',
    });
    assert.equal(got.slice(0, 2 * header.length), Buffer.from(header).toString('hex'));
    assert.equal(got.length, 2 * (header.length + 5));
    assert.equal(from, '127.0.0.1');
  });

  test("at the pod's address where loopback was not chosen", async () => {
    assert.equal((await sent('10.0.0.77:80', false)).from, '10.0.0.9');
  });

  test('of a service by name has its address on our network, IPv4 first, and its port', async () => {
    const { bytes: got, peerPort } = await sent('cart.shop:80', true);
    const header = encodeProxyHeader({
      source: { ip: '10.0.0.9', port: peerPort },
      destination: { ip: '10.1.0.1', port: 80 },
      identity: 'spiffe://cluster.local/ns/shop/sa/peer',
    });
    assert.equal(got.slice(0, 2 * header.length), Buffer.from(header).toString('hex'));
  });

  test('of a service without an address is refused', async () => {
    await assert.rejects(sent('bare.shop:80', true), /http status: 503/);
  });
});

class Collector implements Receiver {
  bytes = Buffer.alloc(0);
  readonly from: string;

  constructor(connection: Connection) {
    this.from = connection.remote.ip;
    connection.receive(this);
  }

  creditBytes(): number {
    return 1000;
  }

  onData(bytes: Uint8Array, offset: number, length: number): void {
    this.bytes = Buffer.concat([this.bytes, bytes.slice(offset, offset + length)]);
  }

  onEnd(): void {}

  onWritable(): void {}

  onClose(): void {}
}
