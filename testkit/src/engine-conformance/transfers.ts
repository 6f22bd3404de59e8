/** Bytes arrive whole and in order, whoever is slow. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Attempt, Kit, Suite } from './kit.ts';
import { EchoParty, type Party, textDigest } from './party.ts';

const KB = 1024;
const MB = 1024 * 1024;
const SIZES = [0, 1, 9, 16 * KB - 1, 16 * KB, 16 * KB + 1, MB];
/** More than the buffers of any kernel and engine hold together. */
const OVERFULL_BYTES = 32 * MB;

export interface TransferSizes {
  readonly largeBytes: number;
  readonly connections: number;
}

export function transferCases(suite: Suite, sizes: TransferSizes): void {
  suite.caseBoth('texts of all sizes arrive whole, both ways at once, and close cleanly', allSizes);
  suite.caseBoth(`${sizes.largeBytes} bytes arrive whole`, (kit, secure) => large(kit, secure, sizes.largeBytes));
  suite.caseBoth('the server may speak first', serverFirst);
  suite.caseBoth('the client ends first and still gets its answer', clientEndsFirst);
  suite.caseBoth('the server ends first and still gets the rest', serverEndsFirst);
  suite.caseBoth('a reader gets no more than its credit, and its writer pauses', slowReader);
  suite.caseBoth('a slow writer is read as it writes', slowWriter);
  suite.caseBoth('a peer that stops reading costs bounded memory and stops nobody else', stoppedReader);
  suite.caseBoth('a write above the room still arrives', oversizedWrite);
  suite.caseBoth('views can be written on from inside the callback', echo);
  suite.caseBoth(`${sizes.connections} connections at once each get their own text`, (kit, secure) =>
    manyConnections(kit, secure, sizes.connections),
  );
}

async function allSizes(kit: Kit, secure: boolean): Promise<void> {
  for (const size of SIZES) {
    const answerSize = SIZES[(SIZES.indexOf(size) + 3) % SIZES.length]!;
    const client = kit.party({ sendBytes: size });
    const server = kit.party({ sendBytes: answerSize });
    await kit.join(client, server, secure);
    await kit.bothClosed(client, server);
    assert.deepEqual([client.closed, server.closed], [null, null]);
    assertText(server, size);
    assertText(client, answerSize);
  }
}

async function large(kit: Kit, secure: boolean, bytes: number): Promise<void> {
  const client = kit.party({ sendBytes: bytes });
  const server = kit.party();
  await kit.join(client, server, secure);
  await kit.bothClosed(client, server);
  assert.equal(server.received, bytes);
  assert.equal(server.digests().received, client.digests().sent);
}

async function serverFirst(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendOnEnd: true });
  const server = kit.party({ sendBytes: 1000, endWhenSent: false });
  await kit.join(client, server, secure);
  await kit.settle(() => client.received === 1000);
  assert.equal(server.received, 0);
  assert.equal(client.ended, false);
}

async function clientEndsFirst(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: 100 * KB });
  const server = kit.party({ sendBytes: 200 * KB, sendOnEnd: true });
  await kit.join(client, server, secure);
  await kit.bothClosed(client, server);
  assert.deepEqual([client.closed, server.closed], [null, null]);
  assertText(server, 100 * KB);
  assertText(client, 200 * KB);
}

async function serverEndsFirst(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: 200 * KB, sendOnEnd: true });
  const server = kit.party();
  await kit.join(client, server, secure);
  await kit.bothClosed(client, server);
  assert.deepEqual([client.closed, server.closed], [null, null]);
  assertText(server, 200 * KB);
}

async function slowReader(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES });
  const server = kit.party({ budgetBytes: 0 });
  await kit.join(client, server, secure);
  await kit.settle(() => client.pauses > 0);
  await kit.pass(20);
  assert.equal(server.received, 0);
  server.grant(1000);
  await kit.settle(() => server.received === 1000);
  await kit.pass(20);
  assert.equal(server.received, 1000);
  server.grant(OVERFULL_BYTES);
  await kit.bothClosed(client, server);
  assert.ok(client.writableCalls > 0);
  assertText(server, OVERFULL_BYTES);
}

async function slowWriter(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ endWhenSent: false });
  const server = kit.party();
  await kit.join(client, server, secure);
  for (let sent = 1; sent <= 50; sent++) {
    client.send(1);
    await kit.settle(() => server.received === sent);
  }
  client.stream!.end();
  await kit.bothClosed(client, server);
  assertText(server, 50);
}

async function stoppedReader(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: OVERFULL_BYTES });
  const stopped = kit.party({ budgetBytes: 0 });
  await kit.join(client, stopped, secure);
  // The mark of a connection of which nobody has written yet: what one may queue.
  const fresh = [kit.party({ endWhenSent: false }), kit.party({ endWhenSent: false })] as const;
  await kit.join(fresh[0], fresh[1], secure);
  const markBytes = fresh[0].stream!.writableBytes();
  await kit.settle(() => client.pauses > 0);
  const other = [kit.party({ sendBytes: MB }), kit.party({ sendBytes: MB })] as const;
  await kit.join(other[0], other[1], secure);
  await kit.bothClosed(other[0], other[1]);
  assertText(other[0], MB);
  assertText(other[1], MB);
  await kit.pass(20);
  assert.ok(client.stream!.writableBytes() < markBytes / 2 && !client.allSent, 'its writer still waits');
  // Sealed records are a little longer than what is in them.
  const { queuedBytes } = kit.client.counters;
  assert.ok(
    queuedBytes > 0 && queuedBytes <= 1.1 * markBytes,
    `${queuedBytes} bytes are queued, of ${markBytes} allowed`,
  );
}

async function oversizedWrite(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ endWhenSent: false });
  const server = kit.party({ budgetBytes: 0 });
  await kit.join(client, server, secure);
  const bytes = new Uint8Array(OVERFULL_BYTES).fill(0x61);
  client.stream!.write(bytes, 0, bytes.length);
  bytes.fill(0x62);
  assert.equal(client.stream!.writableBytes(), 0);
  server.grant(bytes.length);
  await kit.settle(() => server.received === bytes.length && client.writableCalls > 0);
  assert.equal(server.digests().received, createHash('sha256').update(bytes.fill(0x61)).digest('hex'));
}

async function echo(kit: Kit, secure: boolean): Promise<void> {
  const client = kit.party({ sendBytes: 4 * MB });
  const server = new EchoParty(kit.violations);
  await kit.join(client, server, secure);
  await kit.bothClosed(client, server);
  assert.deepEqual([client.closed, server.closed], [null, null]);
  assertText(client, 4 * MB);
}

async function manyConnections(kit: Kit, secure: boolean, count: number): Promise<void> {
  const clients: Party[] = [];
  const attempts: Attempt[] = [];
  const servers: EchoParty[] = [];
  const options = await kit.serverTls(secure);
  const listener = kit.listen(
    (connection) => {
      const server = new EchoParty(kit.violations);
      servers.push(server);
      server.attach(connection);
    },
    { handshakeTimeoutMs: 60_000, ...options },
  );
  // Thousands of handshakes at both ends of a loaded machine take longer than one call may.
  const dial = { timeoutMs: 60_000, ...(await kit.clientTls(secure)) };
  // Held open until all are there: they end only when told.
  for (let i = 0; i < count; i++) {
    const client = kit.party({ sendBytes: 1000 + i, endWhenSent: false });
    clients.push(client);
    attempts.push(kit.connect(listener.address, client, dial));
  }
  await kit.settle(() => attempts.every((attempt) => attempt.over), 120_000);
  assert.deepEqual([...new Set(attempts.map((attempt) => attempt.error))], [null]);
  await kit.settle(() => clients.every((client, i) => client.received === 1000 + i), 120_000);
  assert.ok(kit.client.counters.connections >= count);
  for (const client of clients) client.stream!.end();
  await kit.settle(() => clients.every((client) => client.closed === null), 120_000);
  await kit.settle(() => servers.every((server) => server.closed === null));
  for (const [i, client] of clients.entries()) assertText(client, 1000 + i);
}

function assertText(party: Party, bytes: number): void {
  assert.equal(party.received, bytes);
  assert.equal(party.digests().received, textDigest(bytes));
}
