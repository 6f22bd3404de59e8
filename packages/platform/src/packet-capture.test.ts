import assert from 'node:assert/strict';
import test from 'node:test';
import { libc } from './ffi.ts';
import { withTestNamespace } from './namespace.fixture.ts';
import { openNamespace } from './namespace.ts';
import { type Capture, openCapture } from './packet-capture.ts';
import { Region } from './region.ts';
import { eventually } from './socket.fixture.ts';
import * as socket from './socket.ts';

const region = Region.map(4096);
const IPV4 = 0x0800;

const LAST = 'last';

/** Payload text of the IPv4 UDP frames before the one that says `LAST`. */
async function udpPayloads(capture: Capture): Promise<string[]> {
  const payloads: string[] = [];
  while (payloads.at(-1) !== LAST) {
    const packet = Buffer.from(await eventually(() => capture.next()));
    if (packet.length < 42 || packet.readUInt16BE(12) !== IPV4 || packet[23] !== 17) continue;
    payloads.push(packet.subarray(42, 34 + packet.readUInt16BE(38)).toString());
  }
  return payloads.slice(0, -1);
}

function sendDatagram(fd: number, text: string): void {
  region.bytes.set(Buffer.from(text));
  assert.equal(libc.write(fd, region.at(0, text.length), text.length), text.length);
}

test('a capture on a veth shows what crosses it, and not what crosses another interface', async () => {
  await withTestNamespace(async (here) => {
    await withTestNamespace(async (there) => {
      here.run('ip', 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'far', 'netns', there.name);
      here.run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'wire');
      there.run('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'far');
      here.run('ip', 'link', 'set', 'wire', 'up');
      there.run('ip', 'link', 'set', 'far', 'up');
      const namespaceFds = [openNamespace(here.path), openNamespace(there.path)] as const;
      const captures = {
        near: openCapture({ interfaceName: 'wire', namespaceFd: namespaceFds[0] }),
        far: openCapture({ interfaceName: 'far', namespaceFd: namespaceFds[1] }),
      };
      // Somebody listens, or the answer "port unreachable" would fail the next datagram.
      const receiver = socket.openSocket({ family: 4, type: 'datagram', namespaceFd: namespaceFds[1] });
      socket.bindSocket(receiver, '10.77.0.2', 9);
      const crossing = socket.openSocket({ family: 4, type: 'datagram', namespaceFd: namespaceFds[0] });
      assert.equal(socket.connectSocket(crossing, '10.77.0.2', 9), 0);
      const staying = socket.openSocket({ family: 4, type: 'datagram', namespaceFd: namespaceFds[0] });
      assert.equal(socket.connectSocket(staying, '127.0.0.1', 9), 0);
      sendDatagram(crossing, 'on the wire');
      sendDatagram(staying, 'on loopback');
      sendDatagram(crossing, LAST);
      assert.deepEqual(await udpPayloads(captures.near), ['on the wire']);
      assert.deepEqual(await udpPayloads(captures.far), ['on the wire']);
      assert.deepEqual([captures.near.droppedFrames(), captures.far.droppedFrames()], [0, 0]);
      captures.near.close();
      captures.far.close();
      for (const fd of [...namespaceFds, receiver, crossing, staying]) socket.closeDescriptor(fd);
    });
  });
});

test('frames that were not kept are counted', async () => {
  await withTestNamespace(async ({ path }) => {
    const namespaceFd = openNamespace(path);
    const capture = openCapture({ interfaceName: 'lo', namespaceFd });
    socket.setBufferBytes(capture.fd, { receiveBytes: 4096 });
    const sender = socket.openSocket({ family: 4, type: 'datagram', namespaceFd });
    socket.bindSocket(sender, '127.0.0.1', 0);
    socket.connectSocket(sender, '127.0.0.1', socket.localAddress(sender).port);
    for (let i = 0; i < 50; i++) sendDatagram(sender, 'x'.repeat(500));
    const dropped = await eventually(() => capture.droppedFrames() || null);
    assert.ok(capture.droppedFrames() >= dropped, 'and stay counted');
    assert.ok(capture.droppedFrames() < 100, 'of 50 sent, each seen leaving and coming');
    capture.close();
    for (const fd of [sender, namespaceFd]) socket.closeDescriptor(fd);
  });
});

test('an interface that is not there is named', () => {
  assert.throws(() => openCapture({ interfaceName: 'ambit-absent' }), {
    message: 'ioctl SIOCGIFINDEX of ambit-absent: ENODEV no such device',
  });
});
