/**
 * Writes the conversations that packages/wire/src/http2/fuzz.test.ts starts from: what `node:http2` says to a server and
 * to a client, and what ours does. Run by hand; findings of the fuzzer are added beside them as *-finding-*.bin.
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../packages/wire/corpora/http2');

type Use = (client: http2.ClientHttp2Session) => Promise<void>;

/** Records both directions of what happens between a node client and a node server. */
async function record(name: string, use: Use): Promise<void> {
  const server = http2.createServer();
  server.on('stream', (incoming, headers) => {
    const stream = incoming as http2.ServerHttp2Stream;
    stream.on('error', () => {});
    if (headers[':path'] === '/reset') return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    stream.respond({ ':status': 200, 'x-name': 'value' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  const proxy = net.createServer((socket) => {
    const onward = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('data', (bytes) => up.push(Buffer.from(bytes)));
    onward.on('data', (bytes) => down.push(Buffer.from(bytes)));
    socket.on('error', () => onward.destroy());
    onward.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const client = http2.connect(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  await once(client, 'connect');
  await use(client);
  // Before it says GOAWAY, after which there is nothing left to get wrong.
  writeFileSync(join(FOLDER, `server-${name}.bin`), Buffer.concat(up));
  writeFileSync(join(FOLDER, `client-${name}.bin`), Buffer.concat(down));
  client.destroy();
  proxy.close();
  server.close();
}

async function exchange(client: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body: string) {
  const request = client.request(headers);
  request.on('error', () => {});
  request.end(body);
  request.resume();
  await new Promise((resolve) => request.on('close', resolve));
}

mkdirSync(FOLDER, { recursive: true });
await record('get', (client) => exchange(client, { ':path': '/', 'x-name': 'value' }, ''));
await record('post', (client) => exchange(client, { ':method': 'POST', ':path': '/' }, 'abc'.repeat(2000)));
await record('connect', (client) => exchange(client, { ':method': 'CONNECT', ':authority': '10.0.0.1:80' }, 'hello'));
await record('many', async (client) => {
  const bodies = ['', 'one', 'two'.repeat(100), ''];
  await Promise.all(bodies.map((body, index) => exchange(client, { ':method': 'POST', ':path': `/${index}` }, body)));
});
await record('large-headers', (client) => exchange(client, { ':path': '/', 'x-large': '~'.repeat(3000) }, ''));
await record('ping-and-reset', async (client) => {
  await new Promise((resolve) => client.ping(resolve));
  await exchange(client, { ':path': '/' }, '');
  await exchange(client, { ':path': '/reset' }, '');
});

/** What no client does of itself: GET as HEADERS with padding and a priority, CONTINUATIONs, padded DATA. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const PIECES = [
  [0, 0, 0, 4, 0, 0, 0, 0, 0],
  [0, 0, 9, 1, 0x28, 0, 0, 0, 1, 2, 0, 0, 0, 0, 15, 0x82, 0, 0],
  [0, 0, 1, 9, 0, 0, 0, 0, 1, 0x86],
  [0, 0, 0, 9, 0, 0, 0, 0, 1],
  [0, 0, 1, 9, 4, 0, 0, 0, 1, 0x84],
  [0, 0, 8, 0, 8, 0, 0, 0, 1, 3, 1, 2, 3, 4, 0, 0, 0],
  [0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 3, 7],
  [0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 1, 0],
  [0, 0, 1, 0, 9, 0, 0, 0, 1, 0],
];
writeFileSync(
  join(FOLDER, 'server-pieces.bin'),
  Buffer.concat([PREFACE, ...PIECES.map((piece) => Buffer.from(piece))]),
);
