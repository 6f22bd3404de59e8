/** The bytes of one HBONE tunnel, its half-closes, and what a reset of either side means (reference 3.7). */
import assert from 'node:assert/strict';
import { aborted } from '@ambit/net/errors';
import { HBONE_LIMITS } from '@ambit/net/limits';
import { Http2ErrorCode } from '@ambit/wire/http2';
import { RawClient, rawServer } from './raw-peer.ts';
import { type MakeWorld, meshTests, type Sending, sentHash, type WithMesh } from './world.ts';

const MEGABYTE = 1024 * 1024;

export function tunnelSuite(name: string, makeWorld: MakeWorld): void {
  const withMesh = meshTests(name, makeWorld);
  byteTests(withMesh);
  abortTests(withMesh);
  resetTests(withMesh);
}

function byteTests(withMesh: WithMesh): void {
  withMesh('a tunnel carries bytes both ways at once, and each direction ends by itself', async (mesh) => {
    const up: Sending = { bytes: 3 * MEGABYTE + 7, seed: 1, end: true };
    const down: Sending = { bytes: 2 * MEGABYTE + 3, seed: 2, end: true };
    mesh.answer = (_, responder) => void mesh.accept(responder, down);
    const client = await mesh.tunnel(up);
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => client.closed && server.closed);
    assert.deepEqual([server.receivedBytes, server.hash], [up.bytes, sentHash(up)]);
    assert.deepEqual([client.receivedBytes, client.hash], [down.bytes, sentHash(down)]);
    assert.deepEqual([client.error, server.error, client.ended, server.ended], [null, null, true, true]);
  });

  withMesh('after the client has ended, the server goes on sending', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const client = await mesh.tunnel({ bytes: 5, seed: 1, end: true });
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => server.ended);
    server.write('late answer');
    await mesh.world.until(() => client.receivedBytes === 11);
    assert.equal(client.ended, false);
    server.stream.end();
    await mesh.world.until(() => client.closed && server.closed);
    assert.deepEqual([client.error, server.error], [null, null]);
  });

  withMesh('after the server has ended, the client goes on sending', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder, { bytes: 0, seed: 0, end: true });
    const client = await mesh.tunnel();
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => client.ended);
    client.write('late question');
    await mesh.world.until(() => server.receivedBytes === 13);
    client.stream.end();
    await mesh.world.until(() => client.closed && server.closed);
    assert.deepEqual([client.error, server.error], [null, null]);
  });

  withMesh('the server may speak first', async (mesh) => {
    mesh.answer = (_, responder) => mesh.accept(responder).write('220 ready');
    const client = await mesh.tunnel();
    await mesh.world.until(() => client.receivedBytes === 9);
    assert.equal(mesh.accepted[0]!.receivedBytes, 0);
  });

  withMesh('a writer that ignores the room it has loses nothing, and its end comes after its bytes', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const client = await mesh.tunnel();
    const bytes = new Uint8Array(3 * MEGABYTE).fill(7);
    client.stream.write(bytes, 0, bytes.length);
    client.stream.end();
    assert.equal(client.stream.writableBytes(), 0);
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => server.ended);
    assert.equal(server.receivedBytes, bytes.length);
  });

  withMesh('a writer beyond the bound for unsent bytes loses its stream, and no other', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const other = await mesh.tunnel();
    const client = await mesh.tunnel();
    mesh.accepted[1]!.stalled = true;
    const bytes = new Uint8Array(HBONE_LIMITS.unsentBytesMax + HBONE_LIMITS.streamWindowMaxBytes + 1);
    client.stream.write(bytes, 0, bytes.length);
    await mesh.world.until(() => client.closed && mesh.accepted[1]!.closed);
    assert.equal(client.error?.code, 'HBONE_UNSENT_FULL');
    other.write('alive');
    await mesh.world.until(() => mesh.accepted[0]!.receivedBytes === 5);
  });
}

function abortTests(withMesh: WithMesh): void {
  withMesh('an abort at the client reaches the server as a failure, never as an end', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder);
    const client = await mesh.tunnel({ bytes: MEGABYTE, seed: 3, end: false });
    const server = mesh.accepted[0]!;
    await mesh.world.until(() => server.receivedBytes > 0);
    client.stream.abort(aborted('given up'));
    assert.equal(client.closed, false, 'onClose does not come from inside the call');
    await mesh.world.until(() => client.closed && server.closed);
    assert.deepEqual([client.error?.code, client.ended], ['ABORTED', false]);
    assert.deepEqual([server.error?.code, server.ended], ['HTTP2_CONNECT_ERROR', false]);
    await mesh.tunnelStillWorks();
  });

  withMesh('an abort at the server reaches the client as a failure, never as an end', async (mesh) => {
    mesh.answer = (_, responder) => void mesh.accept(responder, { bytes: MEGABYTE, seed: 3, end: false });
    const client = await mesh.tunnel();
    await mesh.world.until(() => client.receivedBytes > 0);
    mesh.accepted[0]!.stream.abort(aborted('given up'));
    await mesh.world.until(() => client.closed && mesh.accepted[0]!.closed);
    assert.deepEqual([client.error?.code, client.ended], ['HTTP2_CONNECT_ERROR', false]);
    await mesh.tunnelStillWorks();
  });
}

function resetTests(withMesh: WithMesh): void {
  const resets: [number, boolean, string][] = [
    [Http2ErrorCode.NO_ERROR, true, 'HTTP2_NO_ERROR'],
    [Http2ErrorCode.CANCEL, true, 'HTTP2_CANCEL'],
    [Http2ErrorCode.INTERNAL_ERROR, false, 'HTTP2_INTERNAL_ERROR'],
    [Http2ErrorCode.STREAM_CLOSED, false, 'HTTP2_STREAM_CLOSED'],
  ];
  for (const [code, ended, error] of resets) {
    withMesh(
      `a client's RST_STREAM ${error} ${ended ? 'is an end' : 'is no end'}, and fails what is written`,
      async (mesh) => {
        mesh.answer = (_, responder) => void mesh.accept(responder);
        const raw = await RawClient.connect(mesh);
        const open = raw.connect('10.0.0.1:80');
        raw.send(open, 'hello', false);
        await mesh.world.until(() => mesh.accepted[0]?.receivedBytes === 5);
        open.reset(code);
        await mesh.world.until(() => mesh.accepted[0]!.closed);
        assert.deepEqual([mesh.accepted[0]!.ended, mesh.accepted[0]!.error?.code], [ended, error]);
        mesh.accepted[0]!.write('into the void');
        const done = raw.connect('10.0.0.1:80');
        await mesh.world.until(() => mesh.accepted.length === 2);
        mesh.accepted[1]!.stream.end();
        await mesh.world.until(() => done.remoteEnded);
        done.reset(code);
        await mesh.world.until(() => mesh.accepted[1]!.closed);
        assert.equal(mesh.accepted[1]!.error?.code, ended ? undefined : error, 'nothing was left to write');
      },
    );
  }

  withMesh("a server's RST_STREAM CANCEL after its bytes is a clean end for the reader", async (mesh) => {
    const server = await rawServer(mesh, (session, stream) => {
      session.answer(stream, '200', false);
      session.send(stream, 'all of it', false);
      stream.reset(Http2ErrorCode.CANCEL);
    });
    const client = await mesh.tunnel(undefined, server.address);
    await mesh.world.until(() => client.closed);
    assert.deepEqual([client.receivedBytes, client.ended, client.error?.code], [9, true, 'HTTP2_CANCEL']);
    server.close();
  });

  withMesh('a 200 that ends the stream is a tunnel whose server has ended', async (mesh) => {
    const server = await rawServer(mesh, (session, stream) => session.answer(stream, '200', true));
    const client = await mesh.tunnel(undefined, server.address);
    await mesh.world.until(() => client.ended);
    assert.equal(client.closed, false);
    client.stream.end();
    await mesh.world.until(() => client.closed);
    assert.equal(client.error, null);
    server.close();
  });
}
