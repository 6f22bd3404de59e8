/** Streams that fail after their end: what was sent before it arrives, also where the reader is slow (copy.ts). */
import assert from 'node:assert/strict';
import { type CopyResult, copy } from '@ambit/net/copy';
import type { Connection } from '@ambit/net/engine';
import { aborted } from '@ambit/net/errors';
import { Http2ErrorCode } from '@ambit/wire/http2';
import { rawServer } from './raw-peer.ts';
import { type MakeWorld, type Mesh, meshTests, Side } from './world.ts';

/** Within the window that a stream begins with. */
const ANSWER_BYTES = 200_000;
const STALLED = { bytes: 0, seed: 0, end: false, stalled: true };

export function finishSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);

  withMesh('a tunnel that finishes sends all it has, then its end, and stops the peer', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder, STALLED);
    const client = await mesh.tunnel();
    const server = mesh.accepted[0]!;
    const bytes = new Uint8Array(3 * 1024 * 1024);
    client.stream.write(bytes, 0, bytes.length);
    const error = aborted('the other side of the pair failed');
    client.stream.finish(error);
    client.stream.finish(aborted('a second time'));
    server.write('nobody listens');
    await mesh.world.pass(20);
    assert.equal(client.closed, false, 'it has bytes to send');
    server.flow();
    await mesh.world.until(() => client.closed && server.closed);
    assert.deepEqual([server.receivedBytes, server.ended, server.error?.code], [bytes.length, true, 'HTTP2_NO_ERROR']);
    assert.deepEqual([client.receivedBytes, client.ended, client.error], [0, false, error]);
    await mesh.tunnelStillWorks();
  });

  for (const [code, why] of Object.entries({
    NO_ERROR: Http2ErrorCode.NO_ERROR,
    CANCEL: Http2ErrorCode.CANCEL,
    INTERNAL_ERROR: Http2ErrorCode.INTERNAL_ERROR,
  })) {
    withMesh(`what a server sent before its end reaches a slow reader, though RST_STREAM ${code} follows`, (mesh) =>
      slowReader(mesh, code, why),
    );
  }
}

async function slowReader(mesh: Mesh, code: string, errorCode: number): Promise<void> {
  const server = await rawServer(mesh, (peer, stream) => {
    peer.answer(stream, '200', false);
    peer.send(stream, 'x'.repeat(ANSWER_BYTES), true);
    stream.reset(errorCode);
  });
  const results: CopyResult[] = [];
  const application = await joined(mesh, server.address, results);
  await mesh.world.until(() => mesh.pool.counters.tunnelsOpened === 1);
  application.write('more of the request');
  await mesh.world.pass(20);
  assert.equal(application.closed, false);
  application.flow();
  await mesh.world.until(() => application.ended);
  assert.equal(application.receivedBytes, ANSWER_BYTES);
  application.stream.end();
  await mesh.world.until(() => application.closed && results.length === 1);
  assert.deepEqual([application.error, results[0]!.error?.code], [null, `HTTP2_${code}`]);
  server.close();
}

/** An application's connection, accepted on the client's side and joined with a tunnel to `address`. */
async function joined(mesh: Mesh, address: object, results: CopyResult[]): Promise<Side> {
  const { clientEngine, serverEngine, clientIp } = mesh.world;
  const listener = clientEngine.listen({ ip: clientIp, port: 0 }, (connection: Connection) => {
    new Side(connection, STALLED);
    mesh.pool.openTunnel(mesh.request(address), {
      onOpen: (stream) => void copy(connection, stream, { onDone: (result) => results.push(result) }),
      onFail: (error) => connection.abort(error),
    });
  });
  let application: Side | null = null;
  serverEngine.connect(
    { ip: clientIp, port: listener.address.port },
    {
      onOpen: (connection) => {
        application = new Side(connection, STALLED);
      },
      onFail: (error) => {
        throw error;
      },
    },
  );
  await mesh.world.until(() => application !== null);
  listener.close();
  return application as unknown as Side;
}
