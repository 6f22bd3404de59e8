import assert from 'node:assert/strict';
import test from 'node:test';
import {
  assertMethodAccepted,
  CONNECT_BYTES,
  GREETING_BYTES,
  REPLY_BYTES_MAX,
  replyBytes,
  writeConnect,
  writeGreeting,
} from './socks5.ts';

test('the greeting offers one method, no authentication', () => {
  const bytes = new Uint8Array(GREETING_BYTES + 1);
  writeGreeting(bytes, 1);
  assert.deepEqual([...bytes], [0, 5, 1, 0]);
});

test('a request to connect carries address and port in network order', () => {
  const bytes = new Uint8Array(CONNECT_BYTES);
  writeConnect({ ip: '127.0.0.3', port: 40_001 }, bytes, 0);
  assert.deepEqual([...bytes], [5, 1, 0, 1, 127, 0, 0, 3, 0x9c, 0x41]);
});

test('only the method that was offered is accepted', () => {
  assertMethodAccepted(Uint8Array.of(5, 0));
  assert.throws(() => assertMethodAccepted(Uint8Array.of(5, 0xff)), /5,255/);
  assert.throws(() => assertMethodAccepted(Uint8Array.of(4, 0)), /4,0/);
});

test('the length of a reply follows from its kind of address', () => {
  assert.equal(replyBytes(Uint8Array.of(5, 0, 0, 1)), 10);
  assert.equal(replyBytes(Uint8Array.of(5, 0, 0, 4)), REPLY_BYTES_MAX);
  assert.throws(() => replyBytes(Uint8Array.of(5, 0, 0, 3)), /address type 3/);
});

test('a refusal is an error with its code', () => {
  assert.throws(() => replyBytes(Uint8Array.of(5, 5, 0, 1)), /code 5/);
});
